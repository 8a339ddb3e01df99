//! Hints about stored and missing logins.

use std::time::Duration;

use mcp_oauth_testbed::{Fault, Testbed};

use super::{Paste, commands, paste};
use crate::{stores::record, support::Home};

#[tokio::test]
async fn a_missing_login_gets_a_login_command() {
    let home = Home::logged_in().await;
    home.run(&["logout", "notes"]).await.succeeded();
    let missing = home.run(&["token", "notes", "--account", "work"]).await;
    let proposed = commands(&missing.ended(3));
    assert_eq!(proposed, ["mcp-oauth login notes --account work"]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
    home.run(&["token", "notes", "--account", "work"])
        .await
        .succeeded();
    let missing = home.run(&["token", &home.url()]).await.ended(3);
    paste(&home, &commands(&missing)[0], Paste::default())
        .await
        .succeeded();
}

/// The authorization server of the Python SDK's example and GitHub's give no refresh token.
#[tokio::test]
async fn a_refresh_without_a_refresh_token_says_how_long_the_token_is_valid() {
    let builder = Testbed::builder()
        .issue_refresh_tokens(false)
        .access_token_lifetime(Duration::from_secs(3600));
    let home = Home::with(builder).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let before = home.run(&["token", "notes"]).await.succeeded().stdout;
    let failed = home.run(&["refresh", "notes"]).await.ended(3);
    failed
        .says("the server issued no refresh token for ")
        .says("the access token is valid for 59 more minutes; log in again when it expires");
    assert!(!failed.stderr.contains("has expired"), "{failed:#?}");
    // The token is still used.
    let same = home.run(&["token", "notes"]).await.succeeded().stdout;
    assert_eq!(same, before);
    let proposed = commands(&failed);
    assert_eq!(proposed, ["mcp-oauth login notes --force"]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
    let other = home.run(&["token", "notes"]).await.succeeded().stdout;
    assert_ne!(other, before);

    // After the server rejects the token, the message does not call it valid.
    home.testbed.revoke_access_tokens();
    let refused = home.run(&["request", "notes", "notes"]).await.ended(3);
    refused.says("rejected the access token, and the server issued no refresh token");
    paste(&home, &commands(&refused)[0], Paste::default())
        .await
        .succeeded();
    home.run(&["request", "notes", "notes"]).await.succeeded();
}

#[tokio::test]
async fn an_expired_token_is_reported_as_expired() {
    let builder = Testbed::builder()
        .issue_refresh_tokens(false)
        .access_token_lifetime(Duration::ZERO);
    let home = Home::with(builder).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let failed = home.run(&["refresh", "notes"]).await.ended(3);
    failed.says("has expired, and the server issued no refresh token");
    let proposed = commands(&failed);
    assert_eq!(proposed, ["mcp-oauth login notes"]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
}

/// Some servers reject a used refresh token with an empty 400. They have not returned an error code.
#[tokio::test]
async fn an_empty_error_response_is_not_reported_as_invalid_grant() {
    let home = Home::logged_in().await;
    home.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 400,
        body: String::new(),
        headers: Vec::new(),
        times: None,
    });
    let failed = home.run(&["refresh", "notes"]).await.ended(3);
    failed.says("HTTP 400 and an empty body, which is treated as `invalid_grant`");
    assert!(
        !failed.stderr.contains("responded with `invalid_grant`"),
        "{failed:#?}"
    );
    home.testbed.clear_faults();
    paste(&home, &commands(&failed)[0], Paste::default())
        .await
        .succeeded();
}

/// A server of the Python MCP SDK (`mcp` 2.3.0) that was restarted keeps its clients in memory alone, and
/// the access token that it does not know either has not expired.
#[tokio::test]
async fn a_login_of_a_removed_client_gets_a_forced_login_command() {
    let home = Home::logged_in().await;
    home.testbed.revoke_access_tokens();
    home.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 401,
        body: r#"{"error":"invalid_client","error_description":"Invalid client_id"}"#.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let failed = home.run(&["request", "notes", "notes"]).await.ended(3);
    failed.says("`invalid_client`: Invalid client_id");
    home.testbed.clear_faults();
    let proposed = commands(&failed);
    assert_eq!(proposed, ["mcp-oauth login notes --force"]);
    paste(&home, &proposed[0], Paste::default())
        .await
        .succeeded();
    home.run(&["request", "notes", "notes"]).await.succeeded();
}

#[tokio::test]
async fn a_missing_scope_gets_a_login_command() {
    let home = Home::with(Testbed::builder().step_up(true)).await;
    home.login(&["notes", &home.url()]).await.succeeded();
    let typed = ["request", "notes", "notes", "-d", "{}"];
    let refused = home.run(&typed).await.ended(3);
    paste(&home, &commands(&refused)[0], Paste::default())
        .await
        .succeeded();
    home.run(&typed).await.succeeded();
}

#[tokio::test]
async fn a_rejected_token_gets_a_login_command_with_its_own_name() {
    let home = Home::new().await;
    home.login(&["notes", &home.url()]).await.succeeded();
    home.login(&["work", &home.url(), "--account", "work"])
        .await
        .succeeded();
    home.testbed.set_fault(Fault::RejectsEveryToken);
    let refused = home.run(&["test", "work"]).await.ended(3);
    assert_eq!(commands(&refused), ["mcp-oauth login work --force"]);
    home.testbed.clear_faults();
    paste(&home, &commands(&refused)[0], Paste::default())
        .await
        .succeeded();
    home.run(&["test", "work"]).await.succeeded();
}

#[tokio::test]
async fn a_request_outside_the_resource_gets_no_command() {
    let home = Home::logged_in().await;
    let refused = home.run(&["request", "notes", "/elsewhere"]).await.ended(1);
    refused.says("hint: the token is only for ");
    assert!(commands(&refused).is_empty());
}

#[tokio::test]
async fn a_corrupt_record_can_be_removed_by_name_or_url() {
    for by_new_name in [false, true] {
        let home = Home::logged_in().await;
        let file = record(&home);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        home.file(file.strip_prefix(home.path("")).unwrap(), &bytes);
        let url = home.url();
        let typed: &[&str] = if by_new_name {
            &["login", "another", &url]
        } else {
            &["show", "notes"]
        };
        let failed = home.run(typed).await.ended(1);
        paste(&home, &commands(&failed)[0], Paste::default())
            .await
            .succeeded();
        home.login(&["notes", &url]).await.succeeded();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_missing_keychain_gets_a_hint_to_use_a_file() {
    let home = Home::new().await;
    let typed = ["login", "notes", &home.url(), "--store", "keychain"];
    let failed = home.run(&typed).await.ended(1);
    failed.says("or keep the key in a file: ");
    let proposed = commands(&failed).pop().unwrap();
    paste(&home, &proposed, Paste::default()).await.succeeded();
    home.run(&["token", "notes"]).await.succeeded();
}

#[tokio::test]
async fn a_store_with_another_key_or_an_unknown_kind_gets_a_hint() {
    let home = Home::logged_in().await;
    let other = home
        .run_with("MCP_OAUTH_PASSWORD", "secret", &["token", "notes"])
        .await
        .ended(1);
    let password = home.file("password", "correct horse\n");
    let how = Paste {
        fill: &[("FILE", password.as_str())],
        ..Paste::default()
    };
    // The first is for a keychain, which is not there.
    let proposed = commands(&other).pop().unwrap();
    paste(&home, &proposed, how).await.succeeded();
    home.run(&["token", "notes", "--password-file", &password])
        .await
        .succeeded();
    let unknown = home.run(&["list", "--store", "clouds:"]).await.ended(1);
    paste(&home, &commands(&unknown)[0], Paste::default())
        .await
        .succeeded();
}
