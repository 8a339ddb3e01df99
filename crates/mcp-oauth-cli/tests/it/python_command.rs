//! What users of the Python command type: each line of the help of `chuk-mcp-client-oauth` 0.4, with
//! our program in its place.

use crate::support::Home;

#[tokio::test]
async fn each_line_of_the_help_of_the_python_command_works() {
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
            "Forgot the tokens of notion-mcp; the server has taken the tokens back",
        ),
        (&["clear", "notion-mcp"], "Nobody was logged in"),
    ] {
        home.run(line).await.succeeded().says(says);
    }
    // Their command needs no URL for a logout either.
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
    let get = home.run(&["get", "notes", "--json"]).await.succeeded();
    assert_eq!(get.json()["requested_scope"], "notes:read notes:write");
    for typed in [
        &["--scopes", "a\"b"][..],
        &["--scopes"],
        &["--scopes", "a", "--scope", "b"],
    ] {
        let typed = [&["auth", "notes", url.as_str()], typed].concat();
        home.run(&typed).await.ended(2);
    }
    // They are for those who know them.
    for (command, flag) in [("login", "--scopes"), ("logout", "--url")] {
        let help = home.run(&[command, "--help"]).await.succeeded();
        assert!(!help.stdout.contains(flag), "{}", help.stdout);
    }
    let help = home.run(&["tools", "--help"]).await.succeeded();
    assert!(help.stdout.contains("<NAME|URL>\n"), "{}", help.stdout);
}

/// Their names are kept in the token store itself, so a name that is not known here has a URL there.
#[tokio::test]
async fn a_url_stands_in_for_a_name_that_is_not_known() {
    let home = Home::logged_in().await;
    let url = home.url();
    home.run(&["tools", "unknown", &url])
        .await
        .succeeded()
        .says("list_notes");
    let logout = home.run(&["logout", "unknown", "--url", &url]).await;
    logout
        .succeeded()
        .says(&format!("Forgot the tokens of {url}; also ends `notes`"));
    home.run(&["tools", "unknown", &url]).await.ended(3);
}

/// The tokens of one server are not ended, or used, in the name of another.
#[tokio::test]
async fn a_url_that_is_not_that_of_the_name_is_refused() {
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
