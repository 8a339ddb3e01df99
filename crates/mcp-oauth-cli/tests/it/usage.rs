//! Usage errors: exit code 2, with a hint.

use crate::support::{Home, snapshot};

/// `docs/hostile.md` H174.
#[tokio::test]
async fn a_client_metadata_document_is_printed_for_a_url_that_can_be_a_client_id() {
    let home = Home::new().await;
    let id = "https://app.example/client.json";
    let printed = home.run(&["client-metadata", "--client-id", id]).await;
    let document = printed.succeeded().json();
    assert_eq!(document["client_id"], id);
    assert_eq!(document["redirect_uris"][0], "http://127.0.0.1/callback");
    // Servers that negotiate read the list; `mcp` and others read the single member.
    assert_eq!(document["token_endpoint_auth_method"], "none");
    let list = &document["token_endpoint_auth_methods_supported"];
    assert_eq!(list, &serde_json::json!(["none"]));
    for bad in [
        "http://app.example/client.json",
        "https://app.example/",
        "https://app.example/client.json#x",
        "https://me@app.example/client.json",
    ] {
        home.run(&["client-metadata", "--client-id", bad])
            .await
            .ended(2)
            .says("cannot be a client ID");
    }
}

#[tokio::test]
async fn a_url_that_cannot_be_a_server_is_a_usage_error() {
    let home = Home::new().await;
    for (url, message) in [
        ("mcp.example/mcp", "is not a URL"),
        ("http://mcp.example/mcp", "is not https"),
        ("ftp://mcp.example/", "is not https"),
        ("https://user:planted@mcp.example/", "user info"),
        ("https://mcp.example/#part", "fragment"),
    ] {
        let refused = home.run(&["login", "x", url]).await.ended(2);
        refused.says(message).says("hint:");
        assert!(!refused.stderr.contains("planted"));
        if url.starts_with("http://") {
            // The `login` command checks this.
            home.run(&["token", url]).await.ended(3);
        } else if url.contains("://") {
            home.run(&["token", url]).await.ended(2);
        }
    }
    assert!(snapshot(&home.data()).is_empty());
}

#[tokio::test]
async fn an_unknown_name_lists_the_known_ones() {
    let home = Home::logged_in().await;
    let unknown = home.run(&["token", "nots"]).await.ended(2);
    unknown
        .says("no server is named `nots`")
        .says("did you mean `notes`?")
        .says("the names are: notes");
    unknown.says("hint: mcp-oauth token notes");
    let unknown = home.run(&["token", "stripe"]).await.ended(2);
    unknown.says("hint: mcp-oauth login stripe URL");
    assert!(!unknown.stderr.contains("did you mean"), "{unknown:?}");
}

#[tokio::test]
async fn options_that_contradict_each_other_are_refused() {
    let home = Home::new().await;
    let url = home.url();
    for typed in [
        &[
            "--client-id",
            "a",
            "--client-metadata-url",
            "https://a.example/b",
        ][..],
        &["--port", "1", "--redirect-uri", "http://127.0.0.1:2/"],
        &["--port", "65536"],
        &["--timeout", "0"],
        &["--scope", "a\"b"],
        &["--password", "planted"],
        &["--client-secret-stdin"],
    ] {
        let typed = [&["login", "x", url.as_str()], typed].concat();
        let mut command = home.command(&typed);
        let output = command.output().await.unwrap();
        assert_eq!(output.status.code(), Some(2), "{typed:?}: {output:?}");
    }
    assert!(
        home.testbed
            .requests()
            .iter()
            .all(|request| request.path != "/authorize")
    );
}

#[tokio::test]
async fn help_and_version_exit_with_success() {
    let home = Home::new().await;
    let summary = home.run(&["-h"]).await.succeeded();
    assert!(summary.stdout.lines().count() <= 25, "{}", summary.stdout);
    summary.says("Log in\n").says("mcp-oauth COMMAND --help");
    let login = home.run(&["login", "-h"]).await.succeeded();
    assert!(login.stdout.lines().count() <= 35, "{}", login.stdout);
    home.run(&["--help"])
        .await
        .succeeded()
        .says("Exit codes:")
        .says("demo");
    home.run(&["--version"])
        .await
        .succeeded()
        .says(env!("CARGO_PKG_VERSION"));
    home.run(&["auth", "--help"])
        .await
        .succeeded()
        .says("--client-secret-stdin");
    home.run(&[]).await.ended(2);
}
