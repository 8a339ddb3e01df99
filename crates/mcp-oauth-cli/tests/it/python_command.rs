//! The command lines in the help of `chuk-mcp-client-oauth` 0.4, with `mcp-oauth` as the program.

use crate::support::Home;

#[tokio::test]
async fn each_example_of_the_python_command_works() {
    let home = Home::new().await;
    let url = home.url();
    let auth = ["auth", "notion-mcp", &url];
    home.attended(
        &auth,
        home.command(&auth),
        crate::support::Does::Approve,
        "",
    )
    .await
    .succeeded()
    .says("Logged in to notion-mcp");
    for (line, says) in [
        (&["tools", "notion-mcp", &url][..], "list_notes"),
        (&["list"], "notion-mcp"),
        (&["get", "notion-mcp"], "access token"),
        (&["test", "notion-mcp"], "Connected"),
        (
            &["logout", "notion-mcp", "--url", &url],
            "Logged out of notion-mcp; tokens revoked",
        ),
        (&["clear", "notion-mcp"], "Not logged in"),
    ] {
        home.run(line).await.succeeded().says(says);
    }
    // That command needs no URL for a logout either.
    home.run(&["logout", "notion-mcp"]).await.succeeded();
}

#[tokio::test]
async fn scopes_are_several_values() {
    let home = Home::new().await;
    let url = home.url();
    let auth = [
        "auth",
        "notes",
        &url,
        "--scopes",
        "notes:read",
        "notes:write",
    ];
    home.attended(
        &auth,
        home.command(&auth),
        crate::support::Does::Approve,
        "",
    )
    .await
    .succeeded()
    .says("notes:read notes:write");
    let get = home.run(&["show", "notes", "--json"]).await.succeeded();
    assert_eq!(get.json()["requested_scope"], "notes:read notes:write");
    for typed in [
        &["--scopes", "a\"b"][..],
        &["--scopes"],
        &["--scopes", "a", "--scope", "b"],
    ] {
        let typed = [&["auth", "notes", url.as_str()], typed].concat();
        home.run(&typed).await.ended(2);
    }
    // The compatible flags are not in the help.
    for (command, flag) in [("login", "--scopes"), ("logout", "--url")] {
        let help = home.run(&[command, "--help"]).await.succeeded();
        assert!(!help.stdout.contains(flag), "{}", help.stdout);
    }
    let help = home.run(&["tools", "--help"]).await.succeeded();
    assert!(help.stdout.contains("<NAME|URL>\n"), "{}", help.stdout);
}

/// That command keeps its names in the token store, so a name that is unknown here needs its URL.
#[tokio::test]
async fn a_url_replaces_an_unknown_name() {
    let home = Home::logged_in().await;
    let url = home.url();
    home.run(&["tools", "unknown", &url])
        .await
        .succeeded()
        .says("list_notes");
    let logout = home.run(&["logout", "unknown", "--url", &url]).await;
    logout
        .succeeded()
        .says(&format!("Logged out of {url}; also ends `notes`"));
    home.run(&["tools", "unknown", &url]).await.ended(3);
}

/// A command does not use or revoke the tokens of another server than the named one.
#[tokio::test]
async fn a_url_that_differs_from_the_named_one_is_refused() {
    let home = Home::logged_in().await;
    let other = "https://other.example/mcp";
    for typed in [
        &["tools", "notes", other][..],
        &["logout", "notes", "--url", other],
        &["logout", &home.url(), "--url", other],
    ] {
        let refused = home.run(typed).await.ended(2);
        refused
            .says(&format!("is the name of {}, not of {other}", home.url()))
            .says("hint: ");
    }
    home.run(&["tools", "notes", "no url"]).await.ended(2);
    home.run(&["token", "notes"]).await.succeeded();
}
