//! The keychain as the default store of the key, with the real GNOME Keyring.

use std::os::unix::net::UnixListener;

use test_support::{
    in_session,
    keychain::{Session, entries, lock},
};

use crate::support::{Home, Output, borrowed, snapshot};

/// Runs a command in the session of the test.
async fn run(home: &Home, arguments: &[&str]) -> Output {
    let session = Home::keychain();
    home.run_in(&borrowed(&session), arguments).await
}

async fn login(home: &Home, more: &[&str]) -> Output {
    let (session, url) = (Home::keychain(), home.url());
    let arguments = [&["notes", url.as_str()], more].concat();
    home.login_in(&borrowed(&session), &arguments).await
}

/// Asserts that no request was sent and no file was left: the user has seen no consent page.
fn assert_nothing_happened(home: &Home) {
    assert!(home.testbed.requests().is_empty());
    let kept = snapshot(&home.data());
    assert!(
        kept.iter().all(|(path, _)| path.ends_with("locks/write")),
        "{kept:?}"
    );
}

#[tokio::test]
async fn the_key_of_a_first_login_is_in_the_keychain() {
    in_session!(Session::Unlocked);
    let home = Home::new().await;
    let document = run(&home, &["stores", "--json"]).await.succeeded().json();
    assert_eq!(document["selected"], "keychain");
    assert_eq!(document["stores"][0]["available"], true);
    assert_eq!(entries().await, []);
    let output = login(&home, &[]).await.succeeded();
    assert!(!output.stderr.contains("warning"), "{output:?}");
    assert_eq!(entries().await.len(), 1);
    assert!(!home.data().join("tokens/key").exists());
    run(&home, &["token", "notes"]).await.succeeded();
    run(&home, &["refresh", "notes"]).await.succeeded();
    run(&home, &["list"]).await.succeeded().says("valid for");
    run(&home, &["stores"])
        .await
        .succeeded()
        .says("with a key in the keychain of the system");
    assert_eq!(entries().await.len(), 1);

    // Without the keychain, no weaker store is used, and nothing is removed.
    let gone = home.run(&["token", "notes"]).await.ended(1);
    gone.says("from the keychain: no keychain responds")
        .says("hint:");
    home.run(&["logout", "--local", "notes"]).await.ended(1);
    run(&home, &["token", "notes"]).await.succeeded();
    run(&home, &["logout", "notes"]).await.succeeded();
}

#[tokio::test]
async fn a_locked_keychain_is_reported_before_the_consent() {
    in_session!(Session::Unlocked);
    lock().await;
    let home = Home::new().await;
    let url = home.url();
    let refused = run(&home, &["login", "notes", &url]).await.ended(1);
    refused.says("it is locked").says("hint: unlock");
    assert_nothing_happened(&home);
}

#[tokio::test]
async fn a_denied_keychain_is_reported_before_the_consent() {
    in_session!(Session::Denied);
    let home = Home::new().await;
    let url = home.url();
    let refused = run(&home, &["login", "notes", &url]).await.ended(1);
    refused.says("it denied access").says("--store file");
    assert_nothing_happened(&home);
    run(&home, &["stores"])
        .await
        .succeeded()
        .says("problem")
        .says("it denied access");
    login(&home, &["--store", "file"]).await.succeeded();
}

#[tokio::test]
async fn a_requested_file_store_is_used_beside_a_keychain() {
    in_session!(Session::Unlocked);
    let home = Home::new().await;
    let output = login(&home, &["--store", "file"]).await.succeeded();
    assert!(!output.stderr.contains("warning"), "{output:?}");
    assert_eq!(entries().await, []);
    assert!(home.data().join("tokens/key").exists());
    // The store records its kind of key.
    run(&home, &["token", "notes"]).await.succeeded();
    let other = run(&home, &["token", "notes", "--store", "keychain"]).await;
    other
        .ended(1)
        .says("another kind of key")
        .says("mcp-oauth migrate --to keychain");
}

#[tokio::test]
async fn the_fallback_to_a_key_file_is_reported_once() {
    let home = Home::new().await;
    let url = home.url();
    let output = home.login(&["notes", &url, "--quiet"]).await.succeeded();
    output
        .says("warning: tokens are stored in")
        .says("a key file in the same directory: no keychain is available (")
        .says("mcp-oauth migrate --to keychain");
    for arguments in [&["token", "notes"][..], &["login", "notes"], &["list"]] {
        let again = home.run(arguments).await.succeeded();
        assert!(!again.stderr.contains("warning"), "{again:?}");
    }
}

#[tokio::test]
async fn a_requested_keychain_has_no_fallback() {
    let home = Home::new().await;
    let url = home.url();
    for (variables, arguments) in [
        (
            &[][..],
            &["login", "notes", &url, "--store", "keychain"][..],
        ),
        (
            &[("MCP_OAUTH_STORE", "keychain")],
            &["login", "notes", &url],
        ),
    ] {
        let refused = home.run_in(variables, arguments).await.ended(1);
        refused
            .says("from the keychain: no keychain responds")
            .says(&format!("mcp-oauth login notes {url} --store file"));
        assert_nothing_happened(&home);
    }
    let both = [("MCP_OAUTH_PASSWORD", "x"), ("MCP_OAUTH_STORE", "keychain")];
    home.run_in(&both, &["login", "notes", &url]).await.ended(2);
    assert_nothing_happened(&home);
}

/// The bus is a socket that never responds: a client of it waits for ten seconds.
#[tokio::test]
async fn the_keychain_is_not_opened_where_its_key_is_not_needed() {
    let home = Home::new().await;
    let socket = home.path("bus");
    let bus = UnixListener::bind(&socket).unwrap();
    bus.set_nonblocking(true).unwrap();
    let address = format!("unix:path={}", socket.display());
    let variables = [("DBUS_SESSION_BUS_ADDRESS", address.as_str())];
    let url = home.url();
    home.run_in(&variables, &["list"]).await.succeeded();
    home.run_in(&variables, &["token", &url]).await.ended(3);
    home.login(&["notes", &url]).await.succeeded();
    for arguments in [&["token", "notes"][..], &["list"], &["logout", "notes"]] {
        home.run_in(&variables, arguments).await.succeeded();
    }
    assert!(bus.accept().is_err(), "the keychain was opened");
    home.run_in(&variables, &["stores"]).await.succeeded();
    assert!(bus.accept().is_ok(), "this test cannot see the connections");
}
