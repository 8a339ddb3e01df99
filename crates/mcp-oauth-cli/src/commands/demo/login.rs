//! From the server URL to a stored login, by the single steps of the library, and a first use.

use mcp_client_oauth::{
    ClientIdentity, Discovery, DiscoveryOptions, IdentityOptions, Session, discover,
    grant::{self, CallbackReceiver, GrantRequest, RedirectTarget},
    identify,
    proto::{scope::Scope, token::TokenSet},
    store::Record,
};
use mcp_oauth_testbed::Peer;
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use std::sync::Arc;

use super::{consent::TestUser, context::DemoContext};
use crate::{
    error::Failure,
    mcp_connection::{Connection, within},
    status::Status,
};

/// Discovery, registration, consent, exchange, store: what `login` does at once.
pub(super) async fn run(stage: &mut DemoContext) -> Result<Session, Failure> {
    let discovery = discovery(stage).await?;
    let receiver = CallbackReceiver::bind(&RedirectTarget::AnyPort, None)?;
    let identity = registration(stage, &discovery, &receiver).await?;
    let (tokens, requested) = consent(stage, &discovery, &identity, receiver).await?;
    exchange(stage, &tokens)?;
    store(stage, Record::new(discovery, identity, requested, tokens)).await
}

async fn discovery(stage: &mut DemoContext) -> Result<Discovery, Failure> {
    stage.step("Discovery: who issues tokens for this server?");
    let discovery = discover(&stage.platform, &stage.server, &DiscoveryOptions::default()).await?;
    let metadata = &discovery.metadata;
    stage.show("resource", discovery.resource.as_str());
    stage.show("issuer", discovery.issuer());
    stage.show("token endpoint", &metadata.token_endpoint);
    let scope = discovery
        .challenged_scope
        .as_ref()
        .or(discovery.listed_scope.as_ref());
    stage.show(
        "scope",
        scope.map_or_else(|| "none".to_owned(), Scope::to_string),
    );
    let refused = stage.testbed.requests();
    let refused = refused
        .iter()
        .any(|request| request.path == "/mcp" && request.status == 401);
    stage.prove("the MCP server refuses a request without a token", refused)?;
    let found = discovery.issuer().as_str() == stage.testbed.issuer() && metadata.supports_pkce();
    stage.prove(
        "its authorization server was found, and supports PKCE",
        found,
    )?;
    Ok(discovery)
}

async fn registration(
    stage: &mut DemoContext,
    discovery: &Discovery,
    receiver: &CallbackReceiver,
) -> Result<ClientIdentity, Failure> {
    stage.step("Registration: who are we there?");
    let options = IdentityOptions::default();
    let redirect_uri = Some(receiver.uri());
    let identity = identify(&stage.platform, discovery, &options, None, redirect_uri).await?;
    if let ClientIdentity::Registered(own) = &identity {
        stage.show("client id", &own.client_id);
        stage.store.save_registration(own).await?;
    }
    stage.show("redirect URI", receiver.uri());
    let registered = stage
        .testbed
        .count(Peer::AuthorizationServer, "POST", "/register");
    stage.prove("a client was registered by itself, once", registered == 1)?;
    Ok(identity)
}

async fn consent(
    stage: &mut DemoContext,
    discovery: &Discovery,
    identity: &ClientIdentity,
    receiver: CallbackReceiver,
) -> Result<(TokenSet, Option<Scope>), Failure> {
    stage.step("Consent: a person approves");
    let callback = receiver.uri().clone();
    let request = GrantRequest::new(discovery, identity, None)?
        .with_receiver(receiver)
        .with_timeout(stage.person.timeout());
    let requested = request.scope().cloned();
    let grant = grant::select(&request, None)?;
    let tokens = grant.request_tokens(&stage.platform, request).await;
    stage.person.rest();
    let tokens = tokens?;
    show_request(stage, &stage.person);
    // The listener ends as a task does: when the runtime has come round to it.
    tokio::task::yield_now().await;
    let listens = std::net::TcpStream::connect(("127.0.0.1", callback.port().unwrap_or(0)));
    stage.prove("the listener for the browser is closed", listens.is_err())?;
    Ok((tokens, requested))
}

/// Returns what the browser was sent with; `state` and the challenge are not shown.
fn show_request(stage: &DemoContext, person: &TestUser) {
    let Some(url) = person.last_url() else { return };
    for name in [
        "response_type",
        "code_challenge_method",
        "resource",
        "scope",
    ] {
        if let Some((_, value)) = url.query_pairs().find(|(key, _)| key == name) {
            stage.show(name.trim_start_matches("code_"), value);
        }
    }
}

fn exchange(stage: &mut DemoContext, tokens: &TokenSet) -> Result<(), Failure> {
    stage.step("Exchange: the code becomes tokens");
    let now = stage.platform.clock.now();
    stage.show("access token", tokens.access_token.redacted());
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(mcp_client_oauth::Secret::redacted);
    stage.show(
        "refresh token",
        refresh.unwrap_or_else(|| "none".to_owned()),
    );
    let status = Status::at(tokens.expires_at, tokens.refresh_token.is_some(), now);
    stage.show("status", status.words());
    let exchanges = stage.testbed.token_requests("authorization_code");
    stage.prove(
        "one code was exchanged, once, with its PKCE verifier",
        exchanges == 1,
    )
}

async fn store(stage: &mut DemoContext, record: Record) -> Result<Session, Failure> {
    stage.step("Store: sealed, on disk");
    let key = stage.key();
    let mut lock = stage.store.lock(&key).await?;
    let revision = stage.store.save(&mut lock, &record).await?;
    drop(lock);
    let files = files(stage)?;
    for (path, _) in files.iter().filter(|(path, _)| path.ends_with(".sealed")) {
        stage.show("file", path);
    }
    let secrets = [
        Some(record.tokens.access_token.expose()),
        record
            .tokens
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
    stage.prove("no token is in any file in plain text", hidden)?;
    let same = stage.has_stored(&record.tokens).await?;
    stage.prove(
        "the sealed record can be opened again, with the same tokens",
        same,
    )?;
    let (platform, store) = (stage.platform.clone(), stage.store.clone());
    Ok(Session::new(platform, store, key, record, revision))
}

/// Returns every file of the store, and what is in it.
fn files(stage: &DemoContext) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut found = Vec::new();
    let mut directories = vec![stage.directory().to_owned()];
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
pub(super) async fn use_token(stage: &mut DemoContext, session: &Session) -> Result<(), Failure> {
    stage.step("Use: an MCP client lists the tools, and calls one");
    let connection = connect(stage, session).await?;
    stage.show("protocol", connection.protocol().unwrap_or_default());
    let tools = connection.tools().await?;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    stage.show("tools", names.join(", "));
    stage.prove(
        "the tools are listed with the token",
        names.contains(&"add"),
    )?;
    let sum = connection
        .call("add", arguments(&json!({ "a": 40, "b": 2 })))
        .await?;
    let sum = sum
        .structured_content
        .and_then(|content| content.get("sum").cloned());
    stage.show("add(40, 2)", sum.clone().unwrap_or_default());
    connection.close().await;
    stage.prove("a tool is called with the token", sum == Some(json!(42)))
}

pub(super) async fn connect(stage: &DemoContext, session: &Session) -> Result<Connection, Failure> {
    let source = Arc::new(session.clone());
    within(
        &stage.platform,
        stage.person.timeout(),
        Connection::open(source, &stage.network),
    )
    .await
}

/// Returns the members of a JSON object.
pub(super) fn arguments(value: &Value) -> JsonObject {
    value.as_object().cloned().unwrap_or_default()
}
