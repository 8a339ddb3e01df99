//! A login in two processes: `login --no-wait` begins it, and `login --complete` completes it.

use mcp_oauth_store::{Backend as _, EncryptedFileStore, KeySource};
use mcp_oauth_testbed::{Testbed, test_user};
use serde_json::Value;
use test_user::Decision;
use url::Url;

use crate::support::{Home, Output, snapshot};

/// Begins a login, and returns its output and its URL.
async fn begin(home: &Home, arguments: &[&str]) -> (Output, Url) {
    let arguments = [&["login", "--no-wait"], arguments].concat();
    let begun = home.run(&arguments).await.succeeded();
    // The URL alone.
    let url = begun.stdout.trim_end().parse().unwrap();
    (begun, url)
}

async fn begin_notes(home: &Home) -> Url {
    begin(home, &["notes", &home.url()]).await.1
}

/// Authorizes the client, and returns the URL that the browser ends on.
async fn approve(url: &Url) -> Url {
    test_user::decide(url, Decision::Approve).await.unwrap()
}

async fn complete(home: &Home, more: &[&str], callback: &Url) -> Output {
    let arguments = [&["login", "--complete"], more].concat();
    home.run_typing(&arguments, callback.as_str()).await
}

fn parameter(url: &Url, name: &str) -> String {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(found, _)| found == name);
    found.unwrap().1.into_owned()
}

fn posts(home: &Home, path: &str) -> usize {
    let requests = home.testbed.requests();
    let posts = requests
        .iter()
        .filter(|request| request.method == "POST" && request.path == path);
    posts.count()
}

#[tokio::test]
async fn a_login_is_begun_in_one_process_and_completed_in_another() {
    let home = Home::new().await;
    let (begun, url) = begin(&home, &["notes", &home.url()]).await;
    assert_eq!(begun.stdout, format!("{url}\n"));
    begun.says("next: mcp-oauth login --complete notes\n");
    home.run(&["token", "notes"]).await.ended(2);
    let done = complete(&home, &[], &approve(&url).await).await.succeeded();
    done.says("Logged in to notes")
        .says("next: mcp-oauth tools notes");
    home.run(&["request", "notes", "notes"]).await.succeeded();
    // Again, with the same client: many servers compare its redirect URI with the port.
    let again = begin(&home, &["notes"]).await.1;
    for name in ["client_id", "redirect_uri"] {
        assert_eq!(parameter(&again, name), parameter(&url, name));
    }
    complete(&home, &["notes"], &approve(&again).await)
        .await
        .succeeded();
    assert_eq!(posts(&home, "/register"), 1);
}

#[tokio::test]
async fn both_steps_report_in_json() {
    let home = Home::new().await;
    let url = home.url();
    let typed = [
        "login",
        "notes",
        &url,
        "--no-wait",
        "--account",
        "work",
        "--json",
    ];
    let begun = home.run(&typed).await.succeeded().json();
    assert_eq!(
        (&begun["name"], &begun["account"]),
        (&"notes".into(), &"work".into())
    );
    assert_eq!(begun["server"], url);
    assert!(begun["expires_at"].as_str().unwrap().ends_with('Z'));
    let shown = begun["url"].as_str().unwrap().parse().unwrap();
    let callback = approve(&shown).await;
    let done = complete(&home, &["--json"], &callback).await;
    let done = done.succeeded().json();
    assert_eq!(
        (&done["name"], &done["account"]),
        (&"notes".into(), &"work".into())
    );
    let again = complete(&home, &["--json"], &callback)
        .await
        .ended(3)
        .json();
    assert_eq!(again["error"]["code"], "not_pending");
}

/// Another host has the same store, and no names.
#[tokio::test]
async fn another_host_with_the_same_store_completes_the_login() {
    let home = Home::with(Testbed::builder().client("me", Some("planted-client-secret"))).await;
    let url = home.url();
    let store = format!("file:{}", home.path("shared").display());
    let typed = [
        "login",
        "notes",
        &url,
        "--no-wait",
        "--client-id",
        "me",
        "--store",
        &store,
    ];
    let secret = ("MCP_OAUTH_CLIENT_SECRET", "planted-client-secret");
    let begun = home.run_with(secret.0, secret.1, &typed).await.succeeded();
    begun.says(&format!("login --complete notes --store {store}"));
    let callback = approve(&begun.stdout.trim_end().parse().unwrap()).await;
    let other = home.path("other-host").display().to_string();
    let there = ["--store", &store, "--data-dir", &other];
    complete(&home, &there, &callback).await.succeeded();
    let show = [&["show", "notes"][..], &there].concat();
    home.run(&show)
        .await
        .succeeded()
        .says("me (pre-registered)");
    let token = [&["token", "notes"][..], &there].concat();
    home.run(&token).await.succeeded();
}

#[tokio::test]
async fn a_callback_is_accepted_once() {
    let home = Home::new().await;
    let callback = approve(&begin_notes(&home).await).await;
    complete(&home, &[], &callback).await.succeeded();
    let again = complete(&home, &["notes"], &callback).await.ended(3);
    again
        .says("no login is pending for this callback")
        .says("hint: mcp-oauth login notes --no-wait\n");
    let again = complete(&home, &[], &callback).await.ended(3);
    again.says("hint: mcp-oauth login NAME --no-wait\n");
    assert_eq!(posts(&home, "/token"), 1);
    home.run(&["request", "notes", "notes"]).await.succeeded();
}

#[tokio::test]
async fn an_expired_login_is_not_completed_and_its_command_is_proposed() {
    let home = Home::new().await;
    let url = home.url();
    let begun = ["notes", &url, "--account", "work", "--timeout", "1ms"];
    let callback = approve(&begin(&home, &begun).await.1).await;
    for more in [&[][..], &["notes"]] {
        let late = complete(&home, more, &callback).await.ended(3);
        late.says("has expired").says(&format!(
            "hint: mcp-oauth login notes {url} --account work --timeout 1ms --no-wait\n"
        ));
    }
    assert_eq!(posts(&home, "/token"), 0);
    home.run(&["token", "notes"]).await.ended(2);
}

#[tokio::test]
async fn a_denied_consent_ends_the_login() {
    let home = Home::new().await;
    let url = home.url();
    let shown = begin_notes(&home).await;
    let callback = test_user::decide(&shown, Decision::Deny).await.unwrap();
    let denied = complete(&home, &["--json"], &callback)
        .await
        .ended(3)
        .json();
    assert_eq!(denied["error"]["code"], "denied");
    let hint = format!("mcp-oauth login notes {url} --no-wait");
    assert_eq!(denied["error"]["hint"], hint);
    let again = complete(&home, &[], &callback).await.ended(3);
    again.says("no login is pending");
    assert_eq!(posts(&home, "/token"), 0);
    home.run(&["token", "notes"]).await.ended(2);
    // The proposed command begins another login.
    let again = begin(&home, &["notes", &url]).await.1;
    complete(&home, &[], &approve(&again).await)
        .await
        .succeeded();
}

#[tokio::test]
async fn a_url_with_another_state_changes_nothing() {
    let home = Home::new().await;
    let callback = approve(&begin_notes(&home).await).await;
    let mut other = callback.clone();
    other.set_query(Some("code=c&state=of-another-login"));
    let refused = complete(&home, &["notes"], &other).await.ended(3);
    refused.says("no login is pending for this callback");
    for no_callback in ["https://as.example/?code=c", "not a URL", ""] {
        let refused = home
            .run_typing(&["login", "--complete"], no_callback)
            .await
            .ended(2);
        refused.says("copy the whole address bar");
    }
    assert_eq!(posts(&home, "/token"), 0);
    complete(&home, &["notes"], &callback).await.succeeded();
}

#[tokio::test]
async fn without_a_pending_login_the_next_step_is_proposed() {
    let home = Home::logged_in().await;
    let elsewhere = "https://app.example/callback?code=c&state=s"
        .parse()
        .unwrap();
    let refused = complete(&home, &[], &elsewhere).await.ended(3);
    refused.says("hint: mcp-oauth login NAME --no-wait\n");
    let refused = complete(&home, &["notes"], &elsewhere).await.ended(3);
    refused.says("hint: mcp-oauth login notes --no-wait\n");
    let unknown = complete(&home, &["other"], &elsewhere).await.ended(2);
    unknown
        .says("no server is named `other`")
        .says("hint: mcp-oauth login other URL\n");
}

#[tokio::test]
async fn a_url_completes_the_login_that_it_belongs_to() {
    let home = Home::new().await;
    let other = Testbed::builder().start().await.unwrap();
    let first = approve(&begin_notes(&home).await).await;
    let url = other.server_url().to_string();
    let second = ["more", &url];
    let second = approve(&begin(&home, &second).await.1).await;
    let mixed = complete(&home, &["notes", "--json"], &second)
        .await
        .ended(3);
    let error = &mixed.json()["error"];
    assert_eq!(error["code"], "other_login");
    let message = "this URL belongs to another login, or to one that was begun again since";
    assert_eq!(error["message"], message);
    let hint = format!(
        "open the URL that was printed last, or begin again: mcp-oauth login notes {} --no-wait",
        home.url()
    );
    assert_eq!(error["hint"], hint);
    complete(&home, &[], &second)
        .await
        .succeeded()
        .says("Logged in to more");
    complete(&home, &[], &first)
        .await
        .succeeded()
        .says("Logged in to notes");
}

#[tokio::test]
async fn a_further_login_of_a_name_replaces_the_first() {
    let home = Home::new().await;
    let first = approve(&begin_notes(&home).await).await;
    let second = approve(&begin_notes(&home).await).await;
    for more in [&[][..], &["notes"]] {
        let refused = complete(&home, more, &first).await.ended(3);
        refused.says("open the URL that was printed last");
    }
    complete(&home, &["notes"], &second).await.succeeded();
}

#[tokio::test]
async fn a_pending_login_moves_to_another_store_with_the_tokens() {
    let home = Home::logged_in().await;
    let callback = approve(&begin_notes(&home).await).await;
    let store = format!("file:{}", home.path("moved").display());
    let moved = home.run(&["migrate", "--to", &store]).await.succeeded();
    moved.says("Moved 1 login and 1 client registration");
    let done = complete(&home, &["--store", &store], &callback).await;
    done.succeeded();
    home.run(&["token", "notes", "--store", &store])
        .await
        .succeeded();
}

#[tokio::test]
async fn a_login_is_not_begun_in_a_store_that_ends_with_the_process() {
    let home = Home::new().await;
    let url = home.url();
    let typed = ["login", "notes", &url, "--no-wait", "--store", "memory:"];
    let refused = home.run(&typed).await.ended(2);
    refused.says("the store in memory ends with this process");
    assert!(home.testbed.requests().is_empty());
}

#[tokio::test]
async fn a_url_as_an_argument_is_refused_and_not_repeated() {
    let home = Home::new().await;
    let callback = "http://127.0.0.1:1/callback?code=planted&state=s";
    let refused = home.run(&["login", "--complete", callback]).await.ended(2);
    refused.says("must not be an argument");
    let shown = [refused.stdout, refused.stderr].concat();
    assert!(!shown.contains("planted"), "{shown}");
}

/// Returns the secret of a pending login, from the store.
async fn browser_secret(home: &Home) -> String {
    let store = EncryptedFileStore::open(home.data().join("tokens"), KeySource::KeyFile).unwrap();
    let stored = store.get("begun notes").await.unwrap().unwrap();
    let begun: Value = serde_json::from_slice(stored.entry.bytes.expose()).unwrap();
    begun["browser_secret"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn nothing_of_a_pending_login_is_printed_or_readable_in_a_file() {
    let home = Home::new().await;
    let url = home.url();
    let (begun, shown) = begin(&home, &["notes", &url, "-vv"]).await;
    let stored = snapshot(&home.path(""));
    let secret = browser_secret(&home).await;
    let callback = approve(&shown).await;
    let mut other = callback.clone();
    other.set_query(Some("code=c&state=of-another-login"));
    complete(&home, &["notes", "-vv"], &other).await.ended(3);
    complete(&home, &["-vv"], &callback).await.succeeded();
    complete(&home, &["-vv"], &callback).await.ended(3);
    let after = snapshot(&home.path(""));

    let (state, code) = (parameter(&shown, "state"), parameter(&callback, "code"));
    let requests = home.testbed.requests();
    let verifier = requests
        .iter()
        .find_map(|request| request.form("code_verifier"));
    let secrets = [&secret, &code, &verifier.unwrap(), &state];
    let mut printed = home.outputs();
    // The URL itself has the state.
    assert!(begun.stdout.contains(&state));
    printed[0].stdout.clear();
    for secret in secrets {
        assert!(secret.len() > 20, "{secret}");
        for output in &printed {
            let text = [output.stdout.as_str(), &output.stderr].concat();
            assert!(!text.contains(secret), "{secret} is in {output:#?}");
        }
        for (file, content) in stored.iter().chain(&after) {
            let text = String::from_utf8_lossy(content);
            assert!(!text.contains(secret), "{secret} is in {}", file.display());
        }
    }
    assert!(printed[0].stderr.contains("DEBUG mcp_client_oauth"));
    assert!(stored.len() > 3, "{stored:?}");
    // Nothing is left of it.
    let store = EncryptedFileStore::open(home.data().join("tokens"), KeySource::KeyFile).unwrap();
    assert!(store.get("begun notes").await.unwrap().is_none());
}
