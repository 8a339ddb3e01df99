//! A server of MCP 2025-03-26, which has authorization server metadata at its own origin, and no protected
//! resource metadata.

use mcp_oauth_testbed::{Fault, Legacy, Testbed};

use crate::support::Home;

/// The messages of `@modelcontextprotocol/sdk` 1.9.0 (`mcpAuthRouter`, `requireBearerAuth`), which has
/// no resource metadata; `ORIGIN` is its origin.
const UNAUTHORIZED: &str =
    r#"{"error":"invalid_token","error_description":"Missing Authorization header"}"#;
const CHALLENGE: &str =
    r#"Bearer error="invalid_token", error_description="Missing Authorization header""#;
const METADATA: &str = r#"{"issuer":"ORIGIN/","authorization_endpoint":"ORIGIN/authorize","response_types_supported":["code"],"code_challenge_methods_supported":["S256"],"token_endpoint":"ORIGIN/token","token_endpoint_auth_methods_supported":["client_secret_post"],"grant_types_supported":["authorization_code","refresh_token"],"registration_endpoint":"ORIGIN/register"}"#;

/// Returns such a server. It sends its 401 this often, and later the testbed responds.
async fn legacy_server(refusals: u32) -> Home {
    let builder = Testbed::builder()
        .legacy(Legacy::Metadata)
        .iss_parameter(false);
    let home = Home::with(builder).await;
    let origin = home.url();
    let origin = origin.strip_suffix("/mcp").unwrap();
    home.testbed.set_fault(Fault::Status {
        path: "/.well-known/oauth-authorization-server".to_owned(),
        status: 200,
        body: METADATA.replace("ORIGIN", origin),
        headers: Vec::new(),
        times: None,
    });
    home.testbed.set_fault(Fault::Status {
        path: "/mcp".to_owned(),
        status: 401,
        body: UNAUTHORIZED.to_owned(),
        headers: vec![("www-authenticate".to_owned(), CHALLENGE.to_owned())],
        times: Some(refusals),
    });
    home
}

fn is_remembered(home: &Home) -> bool {
    let names = std::fs::read_to_string(home.data().join("servers.json"));
    names.is_ok_and(|names| names.contains(r#""legacy": true"#))
}

#[tokio::test]
async fn legacy_metadata_is_reported_and_used_only_on_request() {
    let home = legacy_server(2).await;
    let url = home.url();
    let refused = home.run(&["login", "notes", &url]).await.ended(1);
    let origin = url.strip_suffix("/mcp").unwrap();
    refused
        .says("but its own origin has metadata of the")
        .says(&format!(
            "authorization server {origin}/, as in MCP 2025-03-26"
        ))
        .says(&format!("{origin}/.well-known/oauth-authorization-server"))
        .says("tried ")
        .says("HTTP 404")
        .says("hint: ");
    let hint = refused.stderr.lines().find(|line| line.contains("hint: "));
    let hint = hint.unwrap();
    assert!(
        hint.contains("mcp-oauth login notes") && hint.ends_with("--legacy"),
        "{hint}"
    );
    assert!(!refused.stderr.contains("y/N"), "no terminal to ask on");
    home.login(&["notes", &url, "--legacy"]).await.succeeded();
    assert!(is_remembered(&home));
    home.run(&["tools", "notes"]).await.succeeded();
}

#[tokio::test]
async fn a_program_can_tell_old_metadata_from_none() {
    let home = legacy_server(1).await;
    let url = home.url();
    let old = home.run(&["login", "notes", &url, "--json"]).await.ended(1);
    assert_eq!(old.json()["error"]["code"], "legacy_metadata");
    let home = Home::with(Testbed::builder().legacy(Legacy::Endpoints)).await;
    let url = home.url();
    let none = home.run(&["login", "notes", &url, "--json"]).await.ended(1);
    let none = none.json();
    assert_eq!(none["error"]["code"], "discovery");
    let message = none["error"]["message"].as_str().unwrap();
    assert!(!message.contains("2025-03-26"), "{message}");
    // Without metadata, the default endpoints of the revision are used on request.
    home.login(&["notes", &url, "--legacy"]).await.succeeded();
}

#[cfg(target_os = "linux")]
mod terminal {
    use mcp_oauth_testbed::{Peer, test_user};
    use url::Url;

    use super::{is_remembered, legacy_server};
    use crate::{
        support::Home,
        terminal::{Terminal, without_styles},
    };

    fn at_terminal(home: &Home) -> Terminal {
        Terminal::run(home, &["login", "notes", &home.url(), "--no-browser"])
    }

    #[tokio::test]
    async fn a_yes_at_the_terminal_uses_old_metadata_and_is_remembered() {
        let home = legacy_server(2).await;
        let mut terminal = at_terminal(&home);
        let screen = terminal.until_it_shows("? y/N").await;
        let shown = without_styles(&screen);
        let origin = home.url().replace("/mcp", "");
        assert!(
            shown.contains(&format!("{origin}/.well-known/oauth-authorization-server")),
            "{shown}"
        );
        assert!(!screen.contains("paste the URL"), "asked first: {screen}");
        terminal.type_line("y");
        let screen = terminal.until_it_shows("paste the URL").await;
        let shown = without_styles(&screen);
        let lines = || shown.lines().map(str::trim);
        let url = lines().find(|line| line.contains("/authorize?")).unwrap();
        test_user::approve(&url.parse::<Url>().unwrap())
            .await
            .unwrap();
        let (code, screen) = terminal.end().await;
        assert_eq!(code, 0, "{screen}");
        assert!(is_remembered(&home));
        home.run(&["tools", "notes"]).await.succeeded();
    }

    #[tokio::test]
    async fn a_response_other_than_yes_ends_the_login() {
        for response in ["", "n", "yeah"] {
            let home = legacy_server(1).await;
            let mut terminal = at_terminal(&home);
            terminal.until_it_shows("? y/N").await;
            terminal.type_line(response);
            let (code, screen) = terminal.end().await;
            assert_eq!(code, 1, "{screen}");
            assert!(screen.contains("--legacy"), "{screen}");
            assert!(!is_remembered(&home));
            for path in ["/register", "/authorize"] {
                let requests = home.testbed.requests();
                let sent = requests
                    .iter()
                    .any(|request| request.to == Peer::AuthorizationServer && request.path == path);
                assert!(!sent, "{path}");
            }
        }
    }
}
