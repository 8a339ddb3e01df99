//! The usual commands in their order: log in, list, use, log out.

use std::time::Duration;

use mcp_oauth_testbed::{Peer, ProtocolEra, ResponseForm, Testbed};

use crate::support::{Home, bounded};

#[tokio::test]
async fn a_login_is_listed_shown_used_refreshed_and_revoked() {
    let home = Home::new().await;
    let login = home.login(&["notes", &home.url()]).await.succeeded();
    login
        .says("Logged in to notes")
        .says("mcp-oauth tools notes");

    let list = home.run(&["list"]).await.succeeded();
    list.says("NAME")
        .says("notes")
        .says(&home.url())
        .says("valid for 4 min")
        .says("notes:read");

    let get = home.run(&["show", "notes"]).await.succeeded();
    get.says("then it is refreshed")
        .says(&home.testbed.issuer())
        .says("dynamic registration");

    let token = home.run(&["token", "notes"]).await.succeeded();
    assert_eq!(token.stdout.lines().count(), 1);
    assert_eq!(token.stderr, "");
    assert!(token.stdout.trim_end().len() > 20);
    assert!(
        !get.stdout.contains(token.stdout.trim_end()),
        "`get` is redacted"
    );

    home.run(&["test", "notes"])
        .await
        .succeeded()
        .says("Connected")
        .says("2026-07-28");
    let tools = home.run(&["tools", "notes"]).await.succeeded();
    tools
        .says("add")
        .says("a b")
        .says("Adds two numbers")
        .says("write_note");

    let response = home.run(&["request", "notes", "notes"]).await.succeeded();
    assert!(response.stdout.starts_with("{\"notes\":"), "{response:?}");

    home.run(&["refresh", "notes"])
        .await
        .succeeded()
        .says("Refreshed");
    let renewed = home.run(&["token", "notes"]).await.succeeded();
    assert_ne!(renewed.stdout, token.stdout);

    home.run(&["logout", "notes"])
        .await
        .succeeded()
        .says("tokens revoked");
    assert!(home.testbed.families().iter().all(|family| !family.alive));
    for command in ["show", "token", "test", "tools", "refresh"] {
        let refused = home.run(&[command, "notes"]).await.ended(3);
        refused
            .says("not logged in")
            .says("\n\nhint: mcp-oauth login notes\n");
    }
    home.run(&["list"]).await.succeeded().says("not logged in");
    home.run(&["logout", "notes"])
        .await
        .succeeded()
        .says("Not logged in");
}

#[tokio::test]
async fn a_known_name_needs_no_url_and_a_url_needs_no_name() {
    let home = Home::logged_in().await;
    home.run(&["logout", "notes"]).await.succeeded();
    home.login(&["notes"])
        .await
        .succeeded()
        .says("Logged in to notes");
    assert_eq!(
        home.testbed
            .count(Peer::AuthorizationServer, "POST", "/register"),
        1
    );
    home.run(&["token", &home.url()]).await.succeeded();

    let other = Home::new().await;
    let port = other.testbed.server_url().port().unwrap();
    let name = format!("127.0.0.1-{port}");
    other.login(&[&other.url()]).await.succeeded().says(&name);
    other.run(&["token", &name]).await.succeeded();
}

#[tokio::test]
async fn a_valid_login_is_reused_unless_forced() {
    let home = Home::logged_in().await;
    home.run(&["login", "notes"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("authorization_code"), 1);
    home.login(&["notes", "--force"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("authorization_code"), 2);
    home.login(&["notes", "--scope", "notes:read notes:write"])
        .await
        .succeeded();
    home.run(&["show", "notes"])
        .await
        .succeeded()
        .says("notes:read notes:write");
}

#[tokio::test]
async fn logout_local_removes_the_login_without_revoking_it() {
    let home = Home::logged_in().await;
    let output = home
        .run(&["logout", "--local", "notes", "--remove-name"])
        .await
        .succeeded();
    output.says("tokens not revoked");
    assert!(home.testbed.families()[0].alive);
    assert_eq!(
        home.testbed
            .count(Peer::AuthorizationServer, "POST", "/revoke"),
        0
    );
    home.run(&["token", "notes"])
        .await
        .ended(2)
        .says("no server is named `notes`");
    home.run(&["list"]).await.succeeded().says("no logins yet");
}

#[tokio::test]
async fn logout_reports_that_an_unreachable_server_kept_the_tokens() {
    let home = Home::logged_in().await;
    home.testbed.stop_authorization_server().await;
    let logout = home.run(&["logout", "notes"]).await.ended(4);
    logout
        .says("Logged out of")
        .says("cannot revoke the tokens: ")
        .says("the tokens are valid until they expire");
    home.run(&["token", "notes"]).await.ended(3);
}

/// Repeats `list` until it shows `words`. The token expires in real time.
async fn wait_for_list(home: &Home, words: &str) {
    bounded(async { while !home.run(&["list"]).await.succeeded().stdout.contains(words) {} }).await;
}

#[tokio::test]
async fn an_expired_token_is_refreshed_before_use() {
    let short = Duration::from_secs(1);
    let home = Home::with(Testbed::builder().access_token_lifetime(short)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    wait_for_list(&home, "refreshable").await;
    let get = home.run(&["show", "notes"]).await.succeeded();
    get.says("the next use refreshes it");
    let before = home.testbed.token_requests("refresh_token");
    home.run(&["token", "notes"]).await.succeeded();
    assert_eq!(home.testbed.token_requests("refresh_token"), before + 1);
}

#[tokio::test]
async fn an_expired_token_without_a_refresh_token_needs_a_login() {
    let short = Testbed::builder().access_token_lifetime(Duration::from_secs(1));
    let home = Home::with(short.issue_refresh_tokens(false)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    wait_for_list(&home, "login needed").await;
    let get = home.run(&["show", "notes"]).await.succeeded();
    get.says("a login is needed");
    let refused = home.run(&["token", "notes"]).await.ended(3);
    refused.says("hint: mcp-oauth login notes");
}

#[tokio::test]
async fn tools_are_listed_over_each_protocol_era() {
    for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
        for form in [ResponseForm::Json, ResponseForm::Sse] {
            let home = Home::with(Testbed::builder().protocol_era(wire).response_form(form)).await;
            home.login(&["notes", &home.url()]).await.succeeded();
            home.run(&["tools", "notes"])
                .await
                .succeeded()
                .says("list_notes");
        }
    }
}

#[tokio::test]
async fn a_revoked_access_token_is_refreshed() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.run(&["tools", "notes"]).await.succeeded().says("add");
    home.testbed.revoke_access_tokens();
    home.run(&["request", "notes", "notes"]).await.succeeded();
    home.testbed.revoke_all_tokens();
    home.run(&["tools", "notes"])
        .await
        .ended(3)
        .says("hint: mcp-oauth login notes");
}
