//! `request`: like curl, with the token, to the resource of the token only.

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Testbed};

use crate::support::Home;

#[tokio::test]
async fn a_body_a_method_and_headers_are_sent() {
    let home = Home::logged_in().await;
    let note = r#"{"text":"hello"}"#;
    let url = format!("{}/notes", home.url());
    let echo = home
        .run(&["request", "notes", &url, "-d", note, "-H", "X-Mine: 1"])
        .await;
    assert_eq!(echo.succeeded().stdout, note);
    let sent = home.testbed.requests().pop().unwrap();
    assert_eq!(
        (sent.method.as_str(), sent.header("x-mine")),
        ("POST", Some("1"))
    );
    assert_eq!(sent.header("content-type"), Some("application/json"));

    let file = home.file("note.json", note);
    let typed = [
        "request",
        "notes",
        "POST",
        "/mcp/notes",
        "-d",
        &format!("@{file}"),
        "-i",
    ];
    home.run(&typed)
        .await
        .succeeded()
        .says("HTTP 200 OK")
        .says("content-type:")
        .says(note);
}

#[tokio::test]
async fn a_status_of_four_hundred_is_a_failure_with_its_body() {
    let home = Home::logged_in().await;
    let bad = home
        .run(&["request", "notes", "notes", "-d", "no json"])
        .await
        .ended(1);
    bad.says("not JSON")
        .says("the server responded with HTTP 400");
    home.testbed.set_fault(Fault::Status {
        path: "/mcp/notes".to_owned(),
        status: 503,
        body: "{}".to_owned(),
        headers: vec![],
        times: None,
    });
    home.run(&["request", "notes", "notes"]).await.ended(4);
}

#[tokio::test]
async fn no_retry_turns_off_the_refresh_of_a_rejected_token() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.run(&["request", "notes", "notes", "--no-retry"])
        .await
        .ended(3);
    assert_eq!(home.testbed.token_requests("refresh_token"), 0);
    home.run(&["request", "notes", "notes"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("refresh_token"), 1);
}

#[tokio::test]
async fn the_token_is_not_sent_outside_the_resource() {
    let (home, other) = (Home::logged_in().await, Home::new().await);
    let refused = home.run(&["request", "notes", &other.url()]).await.ended(1);
    refused.says("is not part of");
    home.run(&["request", "notes", "/elsewhere"])
        .await
        .ended(1)
        .says("is not part of");
    assert!(other.testbed.requests().is_empty());
}

#[tokio::test]
async fn a_missing_scope_gets_a_login_command_with_the_old_and_new_scope() {
    let home = Home::with(Testbed::builder().step_up(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let refused = home
        .run(&["request", "notes", "notes", "-d", "{}"])
        .await
        .ended(3);
    refused.says("hint: mcp-oauth login notes --scope 'notes:read notes:write'");
    home.login(&["notes", "--scope", "notes:read notes:write"])
        .await
        .succeeded();
    home.run(&["request", "notes", "notes", "-d", "{}"])
        .await
        .succeeded();
}

#[tokio::test]
async fn a_token_that_the_server_echoes_is_not_printed() {
    let home = Home::logged_in().await;
    let token = home
        .run(&["token", "notes"])
        .await
        .succeeded()
        .stdout
        .trim_end()
        .to_owned();
    let body = format!("you sent {token}, didn't you").into_bytes();
    let corruption = Corruption::Raw {
        content_type: "text/plain".to_owned(),
        body,
    };
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, corruption));
    let response = home.run(&["request", "notes", "notes"]).await.succeeded();
    assert_eq!(response.stdout, "you sent [redacted], didn't you");
    response.says("warning: the response contains a token of this login");
}

#[tokio::test]
async fn a_server_that_never_responds_times_out() {
    let home = Home::logged_in().await;
    home.testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::NeverResponds));
    home.run(&["request", "notes", "notes", "--timeout", "1s"])
        .await
        .ended(4);
    home.run(&["test", "notes", "--timeout", "1s"])
        .await
        .ended(4)
        .says("--timeout");
}

/// JSON can encode a token with escapes, so the raw body does not contain it.
#[tokio::test]
async fn a_token_in_a_header_or_with_json_escapes_is_not_printed() {
    let home = Home::logged_in().await;
    let token = home.run(&["token", "notes"]).await.succeeded();
    let token = token.stdout.trim_end().to_owned();
    let spelt = token
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect::<Vec<_>>()
        .concat();
    home.testbed.set_fault(Fault::Status {
        path: "/mcp/notes".to_owned(),
        status: 200,
        body: format!("{{\"echo\":\"{spelt}\"}}"),
        headers: vec![("x-echo".to_owned(), format!("Bearer {token}"))],
        times: None,
    });
    for more in ["-i", "--json"] {
        let response = home
            .run(&["request", "notes", "notes", more])
            .await
            .succeeded();
        response
            .says("Bearer [redacted]")
            .says("warning: the response contains a token of this login");
        assert!(!response.stdout.contains(&token), "{response:?}");
        if more == "--json" {
            assert_eq!(response.json()["body"]["echo"], "[redacted]");
        }
    }
}
