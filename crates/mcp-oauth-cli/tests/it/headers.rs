//! `headers`, as Claude Code and Codex run it: few variables, no terminal, and little time.

use std::time::Duration;

use mcp_oauth_testbed::{
    ConfidentialClient, Corruption, DpopPolicy, Endpoint, Fault, Peer, Testbed,
};
use serde_json::Value;

use crate::support::{Home, Output, bounded, snapshot};

#[cfg(unix)]
mod login;

/// The time that the applications wait is ten seconds; the command promises eight.
const LIMIT: Duration = Duration::from_secs(8);

/// Runs `headers` to its end, within its limit.
async fn headers(home: &Home, more: &[&str]) -> Output {
    let typed = [&["headers", "notes"], more].concat();
    // It panics if the command takes too long.
    tokio::time::timeout(LIMIT, home.run(&typed)).await.unwrap()
}

/// Returns the token of the one header.
#[track_caller]
fn token(output: &Output) -> String {
    let headers: Value = output.json();
    let headers = headers.as_object().unwrap();
    assert_eq!(headers.len(), 1, "{output:#?}");
    let header = headers["Authorization"].as_str().unwrap();
    header.strip_prefix("Bearer ").unwrap().to_owned()
}

fn refreshes(home: &Home) -> usize {
    home.testbed.token_requests("refresh_token")
}

/// Returns the number of requests that test a token.
fn pings(home: &Home) -> usize {
    let requests = home.testbed.requests();
    let pings = requests.iter().filter(|request| {
        let message = request.json().unwrap_or_default();
        request.to == Peer::Mcp && message["method"] == "ping"
    });
    pings.count()
}

/// The environment that Codex gives to its helper.
#[tokio::test]
async fn one_object_is_printed_without_variables_of_the_environment() {
    let home = Home::logged_in().await;
    let expected = home.run(&["token", "notes"]).await.succeeded().stdout;
    let data = home.data().display().to_string();
    for server in ["notes", &home.url()] {
        let typed = ["headers", server, "--data-dir", &data, "--store", "file"];
        let mut command = home.command(&typed);
        command
            .env_clear()
            .env("HOME", home.path(""))
            .env("PATH", "/usr/bin:/bin");
        let output = home.finish(&typed, command).await.succeeded();
        assert_eq!(token(&output), expected.trim_end());
        assert_eq!(output.stdout.lines().count(), 1, "{output:#?}");
        assert_eq!(output.stderr, "");
    }
    let json = headers(&home, &["--json", "-q"]).await.succeeded();
    assert_eq!(token(&json), expected.trim_end());
}

/// Two windows connect at the same time: the token must not be replaced for that.
#[tokio::test]
async fn a_token_that_is_requested_again_is_tested_and_kept() {
    let home = Home::logged_in().await;
    let first = headers(&home, &[]).await.succeeded();
    assert_eq!(pings(&home), 0);
    let second = headers(&home, &[]).await.succeeded();
    assert_eq!((pings(&home), refreshes(&home)), (1, 0));
    assert_eq!(second.stdout, first.stdout);
    for (path, content) in snapshot(&home.data().join("proxy")) {
        let text = String::from_utf8_lossy(&content);
        assert!(!text.contains(&token(&first)), "{}", path.display());
    }
}

#[tokio::test]
async fn a_token_that_the_server_rejects_is_replaced_once() {
    let home = Home::logged_in().await;
    let first = headers(&home, &[]).await.succeeded();
    home.testbed.revoke_access_tokens();
    let (one, other) = tokio::join!(headers(&home, &[]), headers(&home, &[]));
    let (one, other) = (token(&one.succeeded()), token(&other.succeeded()));
    assert_ne!(one, token(&first));
    assert_eq!((refreshes(&home), other), (1, one));
}

#[tokio::test]
async fn a_server_that_fails_has_not_rejected_the_token() {
    let home = Home::logged_in().await;
    let first = headers(&home, &[]).await.succeeded();
    home.testbed.set_fault(Fault::Status {
        path: "/mcp".to_owned(),
        status: 500,
        body: String::new(),
        headers: Vec::new(),
        times: None,
    });
    assert_eq!(headers(&home, &[]).await.succeeded().stdout, first.stdout);
    home.testbed.clear_faults();
    let hangs = Fault::Corrupt(Endpoint::Mcp, Corruption::NeverResponds);
    home.testbed.set_fault(hangs);
    assert_eq!(headers(&home, &[]).await.succeeded().stdout, first.stdout);
    home.testbed.stop_mcp_server().await;
    assert_eq!(headers(&home, &[]).await.succeeded().stdout, first.stdout);
    assert_eq!(refreshes(&home), 0);
}

/// With rotation, a refresh that is killed after it was sent loses the login.
#[tokio::test]
async fn a_slow_refresh_goes_on_when_the_command_has_ended() {
    let home = Home::logged_in().await;
    let first = headers(&home, &[]).await.succeeded();
    home.testbed.revoke_access_tokens();
    let held = Fault::Corrupt(Endpoint::Token, Corruption::Held);
    home.testbed.set_fault(held);
    let late = headers(&home, &["--json"]).await.ended(4);
    assert_eq!(late.json()["error"]["code"], "timed_out");
    assert_eq!(refreshes(&home), 1);
    home.testbed.release();
    // It waits for the lock of the refresh.
    let second = headers(&home, &[]).await.succeeded();
    assert_ne!(token(&second), token(&first));
    assert_eq!(refreshes(&home), 1);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_without_a_request_to_the_server() {
    let builder = Testbed::builder().access_token_lifetime(Duration::from_secs(1));
    let home = Home::with(builder).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let is_expired = async { while !home.run(&["list"]).await.stdout.contains("refreshable") {} };
    bounded(is_expired).await;
    headers(&home, &[]).await.succeeded();
    assert_eq!((refreshes(&home), pings(&home)), (1, 0));
}

#[tokio::test]
async fn a_token_that_is_bound_to_a_key_is_refused() {
    let home = Home::with(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    home.login(&["notes", &home.url(), "--dpop"])
        .await
        .succeeded();
    let refused = headers(&home, &[]).await.ended(1);
    assert_eq!(refused.stdout, "");
    refused
        .says("bound to a key (DPoP)")
        .says("hint: use a proxy")
        .says("mcp-oauth proxy notes");
    let refused = headers(&home, &["--json"]).await.ended(1);
    assert_eq!(refused.json()["error"]["code"], "dpop_bound");
}

#[tokio::test]
async fn notes_that_cannot_be_written_change_nothing() {
    let home = Home::logged_in().await;
    let _file = home.file("data/proxy", "in the way of the directory");
    let first = headers(&home, &[]).await.succeeded();
    assert_eq!(headers(&home, &[]).await.succeeded().stdout, first.stdout);
    assert_eq!(pings(&home), 0);
}

#[tokio::test]
async fn without_a_browser_no_login_begins_and_the_hint_is_the_login() {
    let home = Home::logged_in().await;
    home.run(&["logout", "notes"]).await.succeeded();
    home.testbed.clear_requests();
    let refused = headers(&home, &[]).await.ended(3);
    assert_eq!(refused.stdout, "");
    refused.says("hint: mcp-oauth login notes");
    assert!(home.testbed.requests().is_empty());
}

#[tokio::test]
async fn a_login_that_the_server_has_revoked_is_none() {
    let home = Home::logged_in().await;
    headers(&home, &[]).await.succeeded();
    home.testbed.revoke_all_tokens();
    let refused = headers(&home, &[]).await.ended(3);
    assert_eq!(refused.stdout, "");
    refused.says("hint: mcp-oauth login notes");
}

/// A pipe without a writer blocks the thread that reads it, as the prompt of a keychain may.
#[cfg(unix)]
#[tokio::test]
async fn a_store_that_blocks_does_not_exceed_the_time() {
    let home = Home::logged_in().await;
    let pipe = home.path("password").display().to_string();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let typed = ["--password-file", &pipe, "--json"];
    let late = headers(&home, &typed).await.ended(4);
    assert_eq!(late.json()["error"]["code"], "timed_out");
}

/// The login of a service needs no browser.
#[tokio::test]
async fn a_non_interactive_login_is_repeated() {
    let robot = ConfidentialClient::with_secret("me", "secret");
    let home = Home::with(Testbed::builder().confidential_client(robot)).await;
    let secret = [("MCP_OAUTH_CLIENT_SECRET", "secret")];
    let typed = [
        "notes",
        &home.url(),
        "--client-id",
        "me",
        "--client-credentials",
    ];
    home.login_in(&secret, &typed).await.succeeded();
    let first = headers(&home, &[]).await.succeeded();
    home.testbed.revoke_access_tokens();
    let second = headers(&home, &[]).await.succeeded();
    assert_ne!(token(&second), token(&first));
}
