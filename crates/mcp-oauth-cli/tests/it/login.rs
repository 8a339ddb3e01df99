//! `login`: kinds of clients, ports, and the browser.

use mcp_oauth_testbed::{Algorithm, Fault, KeyPair, Peer, Testbed, test_user};

use crate::support::{Does, Home, Running};

#[tokio::test]
async fn the_url_is_shown_at_once_with_its_host() {
    let home = Home::new().await;
    let login = home.login(&["notes", &home.url()]).await.succeeded();
    let issuer = home.testbed.issuer();
    login.says(&format!(
        "To log in at {issuer}, open this URL in a browser:"
    ));
    assert!(!login.stderr.contains('\u{1b}'), "plain when piped");
}

#[tokio::test]
async fn a_preregistered_client_reads_its_secret_from_stdin_and_stores_it() {
    let home = Home::with(Testbed::builder().client("me", Some("s3cret-of-mine"))).await;
    let url = home.url();
    let typed = [
        "login",
        "notes",
        &url,
        "--client-id",
        "me",
        "--client-secret-stdin",
    ];
    let command = home.command(&typed);
    home.attended(&typed, command, Does::Approve, "s3cret-of-mine\n")
        .await
        .succeeded();
    assert_eq!(
        home.testbed
            .count(Peer::AuthorizationServer, "POST", "/register"),
        0
    );
    home.run(&["show", "notes"])
        .await
        .succeeded()
        .says("me (pre-registered)");
    home.run(&["refresh", "notes"]).await.succeeded();
    // The id is stored with the name, and the secret in the encrypted record.
    home.login(&["notes", "--scope", "notes:write"])
        .await
        .succeeded();
}

#[tokio::test]
async fn a_client_secret_can_come_from_the_environment() {
    let home = Home::with(Testbed::builder().client("me", Some("s3cret-of-mine"))).await;
    let url = home.url();
    let typed = ["login", "notes", &url, "--client-id", "me"];
    let mut command = home.command(&typed);
    command.env("MCP_OAUTH_CLIENT_SECRET", "s3cret-of-mine");
    home.attended(&typed, command, Does::Approve, "")
        .await
        .succeeded();
}

#[tokio::test]
async fn a_client_metadata_document_is_the_client_id() {
    let home = Home::with(Testbed::builder().client_id_metadata_documents(true)).await;
    let document = "https://app.example/client.json";
    let login = home
        .login(&["notes", &home.url(), "--client-metadata-url", document])
        .await;
    login.succeeded();
    home.run(&["show", "notes"])
        .await
        .succeeded()
        .says(document)
        .says("metadata document");
}

#[tokio::test]
async fn a_requested_port_is_used_and_a_busy_one_is_an_error() {
    let home = Home::new().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let busy = home
        .run(&["login", "notes", &home.url(), "--port", &port])
        .await
        .ended(1);
    busy.says(&format!("port {port} on 127.0.0.1 is in use"))
        .says("hint:");
    drop(taken);
    let login = home
        .login(&["notes", &home.url(), "--port", &port])
        .await
        .succeeded();
    login.says(&format!("127.0.0.1%3A{port}%2Fcallback"));
}

#[tokio::test]
async fn a_redirect_uri_of_another_path_works() {
    let home = Home::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!(
        "http://127.0.0.1:{}/come/back",
        free.local_addr().unwrap().port()
    );
    drop(free);
    home.login(&["notes", &home.url(), "--redirect-uri", &uri])
        .await
        .succeeded();
}

/// The browser gets the URL, and no secret of this client (`docs/hostile.md` H152).
#[cfg(unix)]
#[tokio::test]
async fn the_browser_gets_the_url_and_no_secret() {
    use std::os::unix::fs::PermissionsExt as _;

    let home = Home::with(Testbed::builder().client("me", Some("planted-secret"))).await;
    let (pipe, seen) = (home.path("pipe"), home.path("environment"));
    let made = std::process::Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .unwrap();
    assert!(made.success());
    let script = format!(
        "#!/bin/sh\n/usr/bin/env > {}\nprintf %s \"$1\" > {}\n",
        seen.display(),
        pipe.display()
    );
    let browser = home.file("browser", &script);
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).unwrap();

    let url = home.url();
    let mut command = home.command(&["login", "notes", &url, "--client-id", "me"]);
    command
        .env("BROWSER", &browser)
        .env("MCP_OAUTH_CLIENT_SECRET", "planted-secret");
    command
        .env("MCP_OAUTH_PASSWORD", "planted-password")
        .env("VAULT_TOKEN", "planted-token")
        .env("VAULT_SECRET_ID", "planted-secret-id")
        .env("PATH", ":/usr/bin:/bin:.:bin");
    let running = Running::start(command, "").await;
    let opened = tokio::task::spawn_blocking(move || std::fs::read_to_string(pipe).unwrap());
    test_user::approve(&opened.await.unwrap().parse().unwrap())
        .await
        .unwrap();
    let shown = running.end().await.succeeded();
    shown
        .says(&format!(
            "Opening your browser to log in at {}",
            home.testbed.issuer()
        ))
        .says("If no browser opens, open this URL:")
        .says(", refreshed automatically");
    let environment = std::fs::read_to_string(seen).unwrap();
    assert!(
        environment.contains("BROWSER=") && !environment.contains("planted"),
        "{environment}"
    );
    // `docs/hostile.md` H153: no program is searched for in the working directory.
    let path = environment.lines().find(|line| line.starts_with("PATH="));
    assert_eq!(path, Some("PATH=/usr/bin:/bin"));
}

#[tokio::test]
async fn port_zero_removes_a_remembered_port() {
    let home = Home::new().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port().to_string();
    drop(free);
    home.login(&["notes", &home.url(), "--port", &port])
        .await
        .succeeded();
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    let busy = home.run(&["login", "notes", "--force"]).await.ended(1);
    busy.says("hint: ")
        .says("mcp-oauth login notes --force --port 0");
    home.login(&["notes", "--force", "--port", "0"])
        .await
        .succeeded();
    home.login(&["notes", "--force"]).await.succeeded();
    drop(taken);
}

#[tokio::test]
async fn a_scope_that_was_not_requested_prints_a_warning() {
    let wider = Fault::TokenField("scope".to_owned(), "notes:read admin".into());
    let home = Home::with(Testbed::builder().fault(wider)).await;
    let login = home
        .login(&["notes", &home.url(), "--scope", "notes:read", "--json"])
        .await
        .succeeded();
    login.says("the server granted more than was requested: `admin`");
    assert_eq!(login.json()["extra_scope"], "admin");
}

/// The token endpoint has another host than the authorization endpoint (`docs/hostile.md` H6).
#[tokio::test]
async fn a_token_endpoint_on_another_host_is_shown() {
    let home = Home::new().await;
    let same = home.login(&["notes", &home.url()]).await.succeeded();
    assert!(!same.stdout.contains("token endpoint"), "{same:?}");

    let home = Home::new().await;
    let endpoint = format!("{}/token", home.testbed.issuer()).replace("127.0.0.1", "localhost");
    home.testbed.set_fault(Fault::MetadataField(
        "token_endpoint".to_owned(),
        endpoint.clone().into(),
    ));
    let login = home.login(&["notes", &home.url()]).await.succeeded();
    let origin = endpoint.trim_end_matches("/token");
    login.says(&format!("token endpoint  {origin}"));
}

/// The authorization server reads the document that was printed.
#[cfg(unix)]
#[tokio::test]
async fn a_printed_document_with_a_key_is_a_client_that_logs_in_by_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let id = "https://app.example/client.json";
    for kind in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let pair = KeyPair::generate(kind).unwrap();
        let other = Home::new().await;
        let key = other.file("app.pem", pair.private_pem());
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let print = ["client-metadata", "--client-id", id, "--private-key", &key];
        let document = other.run(&print).await.succeeded().json();
        assert_eq!(document["token_endpoint_auth_method"], "private_key_jwt");
        let list = &document["token_endpoint_auth_methods_supported"];
        assert_eq!(list, &serde_json::json!(["private_key_jwt"]));
        let home = Home::with(Testbed::builder().client_document(id, document)).await;
        let url = home.url();
        let typed = ["notes", &url, "--client-metadata-url", id];
        let with_key = [&typed, ["--private-key", key.as_str()].as_slice()].concat();
        home.login(&with_key).await.succeeded();
        home.run(&["refresh", "notes"]).await.succeeded();
        home.run(&["tools", "notes"]).await.succeeded();
        let requests = home.testbed.requests();
        let token = requests.iter().rfind(|request| request.path == "/token");
        assert!(token.unwrap().form("client_assertion").is_some());
        // Only the key authenticates the client.
        let other_key = KeyPair::generate(kind).unwrap().private_pem();
        other.file("app.pem", other_key);
        let refused = home
            .login(&[&with_key, ["--force"].as_slice()].concat())
            .await;
        assert_ne!(refused.code, 0, "{refused:?}");
    }
}
