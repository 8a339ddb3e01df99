//! From the server URL to a stored login, and a first use.

use std::{net::TcpStream, path::Path};

use mcp_client_oauth::{
    Session,
    flow::{
        ClientIdentity, Discovery, DiscoveryOptions, IdentityOptions, Scope, TokenSet, discover,
        identify,
    },
};
use mcp_oauth_testbed::Peer;
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use url::Url;

use super::{consent::TestUser, context::DemoContext};
use crate::{
    context::record,
    error::Failure,
    mcp_connection::{Connection, within},
    status::Status,
};

/// Runs discovery and registration as single steps. The login that follows uses this registration, and runs
/// the other steps in one call.
pub(super) async fn run(demo: &mut DemoContext) -> Result<Session, Failure> {
    let discovery = discovery(demo).await?;
    let redirect_uri = registration(demo, &discovery).await?;
    let session = consent(demo, &redirect_uri).await?;
    let tokens = record(&session)?.tokens;
    exchange(demo, &tokens)?;
    store(demo, &tokens).await?;
    Ok(session)
}

async fn discovery(demo: &mut DemoContext) -> Result<Discovery, Failure> {
    demo.step("Discovery: find the authorization server");
    let discovery = discover(demo.platform(), &demo.server, &DiscoveryOptions::default()).await?;
    let metadata = &discovery.metadata;
    demo.show("resource", discovery.resource.as_str());
    demo.show("issuer", discovery.issuer());
    demo.show("token endpoint", &metadata.token_endpoint);
    let scope = discovery
        .challenged_scope
        .as_ref()
        .or(discovery.listed_scope.as_ref());
    demo.show(
        "scope",
        scope.map_or_else(|| "none".to_owned(), Scope::to_string),
    );
    let refused = demo.testbed.requests();
    let refused = refused
        .iter()
        .any(|request| request.path == "/mcp" && request.status == 401);
    demo.check("the MCP server rejects a request without a token", refused)?;
    let methods = metadata.code_challenge_methods_supported.as_deref();
    let supports_pkce = methods.is_some_and(|methods| methods.iter().any(|name| name == "S256"));
    let found = discovery.issuer().as_str() == demo.testbed.issuer() && supports_pkce;
    demo.check(
        "its authorization server was found, and supports PKCE",
        found,
    )?;
    Ok(discovery)
}

/// Returns the redirect URI.
async fn registration(demo: &mut DemoContext, discovery: &Discovery) -> Result<Url, Failure> {
    demo.step("Registration: register a client");
    let options = IdentityOptions::default();
    let uri = redirect_uri()?;
    let identity = identify(demo.platform(), discovery, &options, None, Some(&uri)).await?;
    if let ClientIdentity::Registered(own) = &identity {
        demo.show("client id", &own.client_id);
        demo.client.store().save_registration(own).await?;
    }
    demo.show("redirect URI", &uri);
    demo.check(
        "a client was registered dynamically, once",
        registrations(demo) == 1,
    )?;
    Ok(uri)
}

/// Returns a redirect URI with a free port.
fn redirect_uri() -> Result<Url, Failure> {
    let free = || std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr();
    let failed = |error: &dyn std::fmt::Display| {
        Failure::other("demo", format!("cannot find a free port: {error}"), None)
    };
    let port = free().map_err(|error| failed(&error))?.port();
    Url::parse(&format!("http://127.0.0.1:{port}/callback")).map_err(|error| failed(&error))
}

fn registrations(demo: &DemoContext) -> usize {
    demo.testbed
        .count(Peer::AuthorizationServer, "POST", "/register")
}

async fn consent(demo: &mut DemoContext, redirect_uri: &Url) -> Result<Session, Failure> {
    demo.step("Consent: the user approves");
    let login = demo.client.login(&demo.server);
    let session = login.timeout(demo.user.timeout()).await;
    demo.user.rest();
    let session = session?;
    show_request(demo, &demo.user);
    // The listener ends when the runtime has run its task.
    tokio::task::yield_now().await;
    let listens = TcpStream::connect(("127.0.0.1", redirect_uri.port().unwrap_or(0)));
    demo.check("the listener for the browser is closed", listens.is_err())?;
    Ok(session)
}

/// Prints parameters of the authorization request; not `state` and the challenge.
fn show_request(demo: &DemoContext, user: &TestUser) {
    let Some(url) = user.last_url() else { return };
    for name in [
        "response_type",
        "code_challenge_method",
        "resource",
        "scope",
    ] {
        if let Some((_, value)) = url.query_pairs().find(|(key, _)| key == name) {
            demo.show(name.trim_start_matches("code_"), value);
        }
    }
}

fn exchange(demo: &mut DemoContext, tokens: &TokenSet) -> Result<(), Failure> {
    demo.step("Exchange: exchange the code for tokens");
    let now = demo.platform().clock.now();
    demo.show("access token", tokens.access_token.redacted());
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(mcp_client_oauth::Secret::redacted);
    demo.show(
        "refresh token",
        refresh.unwrap_or_else(|| "none".to_owned()),
    );
    let status = Status::at(tokens.expires_at, tokens.refresh_token.is_some(), now);
    demo.show("status", status.words());
    let exchanges = demo.testbed.token_requests("authorization_code");
    demo.check(
        "one code was exchanged, once, with its PKCE verifier",
        exchanges == 1,
    )
}

async fn store(demo: &mut DemoContext, tokens: &TokenSet) -> Result<(), Failure> {
    demo.step("Store: write the tokens to disk, encrypted");
    let files = files(demo)?;
    for (path, _) in &files {
        if Path::new(path).extension().is_some_and(|end| end == "enc") {
            demo.show("file", path);
        }
    }
    let secrets = [
        Some(tokens.access_token.expose()),
        tokens
            .refresh_token
            .as_ref()
            .map(|token| token.expose().as_str()),
    ];
    let in_plain = |secret: &str| {
        files
            .iter()
            .any(|(_, bytes)| bytes.windows(secret.len()).any(|w| w == secret.as_bytes()))
    };
    let hidden = !secrets.into_iter().flatten().any(in_plain);
    demo.check("no token is in any file in plain text", hidden)?;
    let same = demo.has_stored(tokens).await?;
    demo.check(
        "the encrypted record can be read again, with the same tokens",
        same,
    )
}

/// Returns every file of the store, with its content.
fn files(demo: &DemoContext) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    let mut directories = vec![demo.directory().to_owned()];
    while let Some(directory) = directories.pop() {
        let failed = |error| Failure::file("read", &directory, &error);
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let bytes = std::fs::read(&path).map_err(failed)?;
                found.push((path.display().to_string(), bytes));
            }
        }
    }
    Ok(found)
}

/// Lists the tools, and calls one.
pub(super) async fn use_token(demo: &mut DemoContext, session: &Session) -> Result<(), Failure> {
    demo.step("Use: an MCP client lists the tools, and calls one");
    let connection = connect(demo, session).await?;
    demo.show("protocol", connection.protocol().unwrap_or_default());
    let tools = connection.tools().await?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    demo.show("tools", names.join(", "));
    demo.check(
        "the tools are listed with the token",
        names.contains(&"add"),
    )?;
    let sum = connection
        .call("add", arguments(&json!({ "a": 40, "b": 2 })))
        .await?;
    let sum = sum
        .structured_content
        .and_then(|content| content.get("sum").cloned());
    demo.show("add(40, 2)", sum.clone().unwrap_or_default());
    connection.close().await;
    demo.check("a tool is called with the token", sum == Some(json!(42)))
}

pub(super) async fn connect(demo: &DemoContext, session: &Session) -> Result<Connection, Failure> {
    within(
        demo.platform(),
        demo.user.timeout(),
        Connection::open(session.clone(), &demo.network),
    )
    .await
}

/// Returns the members of a JSON object.
pub(super) fn arguments(value: &Value) -> JsonObject {
    value.as_object().cloned().unwrap_or_default()
}
