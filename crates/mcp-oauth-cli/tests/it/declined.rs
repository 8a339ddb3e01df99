//! Logins that the server declines in an unusual way: the message to the user, and the exit code.

use mcp_oauth_testbed::{Fault, Testbed, test_user};

use crate::support::{Home, Running};

/// RFC 9207 §2.4: django-oauth-toolkit and Canaille promise `iss` and leave it out of errors.
#[tokio::test]
async fn a_denial_without_iss_is_explained_and_exits_like_a_denied_login() {
    let fault = Fault::CallbackWithoutIss;
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let url = home.url();
    let mut running = Running::start(home.command(&["login", "notes", &url]), "").await;
    let shown = running.url().await.unwrap();
    test_user::deny(&shown).await.unwrap();
    let declined = running.end().await.ended(3);
    declined
        .says("a response came without `iss`")
        .says("if you just declined, that is why")
        .says("mcp-oauth login notes");
    assert!(!declined.stderr.contains("access_denied"), "{declined:?}");
    assert!(!declined.stderr.contains("said no"), "{declined:?}");
    assert_eq!(home.testbed.token_requests("authorization_code"), 0);
}

/// Figma's registration endpoint, October 2026.
#[tokio::test]
async fn a_vendor_with_a_client_allowlist_is_reported() {
    let fault = Fault::Status {
        path: "/register".to_owned(),
        status: 403,
        body: "Forbidden".to_owned(),
        headers: Vec::new(),
        times: None,
    };
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let url = home.url();
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    refused
        .says("(HTTP 403: Forbidden)")
        .says("the server may accept only clients on an allow list")
        .says("--client-id ID");
    assert!(!refused.stderr.contains("by hand"), "{refused:?}");
}
