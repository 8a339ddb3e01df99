//! `show`: the details of a login, with its secrets redacted.

use mcp_client_oauth::{
    error::UntrustedText,
    flow::{ClientIdentity, DiscoverySource, DpopKey, PrivateKey, Quirks, RecordedGrant},
    store::{LoginKey, Record},
};
use serde_json::{Value, json};

use crate::{
    args::TargetArgs,
    context::{Context, Target, login_required},
    error::{Exit, Failure},
    status::{Status, moment},
    ui::fields,
};

pub(super) async fn run(context: &Context, arguments: &TargetArgs) -> Result<Exit, Failure> {
    let target = context.target(arguments)?;
    let stored = context.store().await?.load(&target.key).await?;
    let (record, _) = stored.ok_or_else(|| login_required(&target.key))?;
    let status = Status::of(&record, context.platform.clock.now());
    let document = document(&target, &record, status);
    context
        .ui
        .result(&document, || text(&document, &target.key, &record, status));
    Ok(Exit::Done)
}

fn document(target: &Target, record: &Record, status: Status) -> Value {
    let (discovery, tokens) = (&record.discovery, &record.tokens);
    let server = &discovery.metadata;
    json!({
        "name": target.server.as_ref().map(|_| &target.typed),
        "server": discovery.server.as_str(),
        "account": target.key.account(),
        "status": status.as_str(),
        "access_token": tokens.access_token.redacted(),
        "refresh_token": tokens.refresh_token.as_ref().map(mcp_client_oauth::Secret::redacted),
        "issued_at": moment(tokens.issued_at),
        "expires_at": tokens.expires_at.map(moment),
        "scope": tokens.scope.as_ref().map(ToString::to_string),
        "requested_scope": record.requested.as_ref().map(ToString::to_string),
        "missing_scope": record.missing_scope().map(|scope| scope.to_string()),
        "resource": discovery.resource.as_str(),
        "quirks": discovery.quirks,
        "issuer": discovery.issuer().as_str(),
        "client": client(&record.identity),
        "non_interactive": record.non_interactive.as_ref().map(RecordedGrant::to_string),
        "dpop_key": record.dpop.as_ref().map(DpopKey::thumbprint),
        "shared_with": record.shared_from.as_ref().map(ToString::to_string),
        "authorization_endpoint": server.authorization_endpoint.as_ref().map(ToString::to_string),
        "token_endpoint": server.token_endpoint.to_string(),
        "revocation_endpoint": server.revocation_endpoint.as_ref().map(ToString::to_string),
        "discovered": discovered(&discovery.source),
    })
}

fn client(identity: &ClientIdentity) -> Value {
    match identity {
        ClientIdentity::Registered(own) => json!({
            "id": own.client_id,
            "how": if own.is_preregistered { "pre-registered" } else { "dynamic registration" },
            "secret": own.client_secret.as_ref().map(mcp_client_oauth::Secret::redacted),
            "secret_expires_at": own.secret_expires_at.map(moment),
            "key": own.private_key.as_ref().map(algorithm),
        }),
        ClientIdentity::MetadataDocument(url) => {
            json!({ "id": url.as_str(), "how": "metadata document" })
        }
        ClientIdentity::SignedDocument { url, key } => json!({
            "id": url.as_str(),
            "how": "metadata document",
            "key": algorithm(key),
        }),
        _ => Value::Null,
    }
}

/// Returns the registered name of the algorithm that the key signs with.
fn algorithm(key: &PrivateKey) -> Value {
    key.public_jwk()["alg"].take()
}

fn discovered(source: &DiscoverySource) -> String {
    match source {
        DiscoverySource::Metadata(url) => url.to_string(),
        DiscoverySource::Legacy => "MCP 2025-03-26".to_owned(),
        _ => "manual".to_owned(),
    }
}

/// Formats the document as lines, with an explanation of the expiry.
fn text(document: &Value, key: &LoginKey, record: &Record, status: Status) -> String {
    let shown = |pointer: &str| {
        let value = document.pointer(pointer).and_then(Value::as_str);
        // An issuer and a resource identifier are text of a third party.
        value.map(|value| UntrustedText::new(value).to_string())
    };
    let or = |pointer: &str, none: &str| shown(pointer).unwrap_or_else(|| none.to_owned());
    let client = [
        shown("/client/id"),
        shown("/client/how").map(|how| format!("({how})")),
    ];
    let mut rows = vec![
        ("server", key.to_string()),
        ("status", status.colored()),
        ("expires", expiry(record, status)),
        ("issued", or("/issued_at", "-")),
        ("access token", or("/access_token", "-")),
        (
            "refresh token",
            or("/refresh_token", without_refresh_token(record)),
        ),
        ("scope", or("/scope", "not reported by the server")),
        (
            "requested",
            or("/requested_scope", "the scope that the server suggests"),
        ),
    ];
    rows.extend(shown("/missing_scope").map(|missing| ("not granted", missing)));
    rows.extend([
        ("resource", or("/resource", "-")),
        ("issuer", or("/issuer", "-")),
        (
            "client",
            client.into_iter().flatten().collect::<Vec<_>>().join(" "),
        ),
        ("client secret", or("/client/secret", "none")),
    ]);
    for (label, pointer) in [
        ("client key", "/client/key"),
        ("non-interactive", "/non_interactive"),
        ("bound to key", "/dpop_key"),
        ("shared with", "/shared_with"),
    ] {
        rows.extend(shown(pointer).map(|value| (label, value)));
    }
    rows.extend(overrides(record));
    rows.extend([
        ("token endpoint", or("/token_endpoint", "-")),
        (
            "revocation",
            or("/revocation_endpoint", "not supported by the server"),
        ),
        ("discovered", or("/discovered", "-")),
    ]);
    fields(&rows)
}

fn without_refresh_token(record: &Record) -> &'static str {
    if record.is_refreshable() {
        "none: the login is non-interactive"
    } else {
        "none: a login is needed when the token expires"
    }
}

/// Returns the overrides for the server, if there are any.
fn overrides(record: &Record) -> Option<(&'static str, String)> {
    let quirks = &record.discovery.quirks;
    let written = serde_json::to_string(quirks).ok()?;
    (*quirks != Quirks::default()).then_some(("overrides", written))
}

fn expiry(record: &Record, status: Status) -> String {
    let Some(end) = record.tokens.expires_at else {
        return "not reported by the server: the token is used until it is rejected".to_owned();
    };
    let then = match status {
        Status::Valid(_) if record.is_refreshable() => "; then it is refreshed",
        Status::Valid(_) => "; then a login is needed",
        Status::Refreshable(_) => "; the next use refreshes it",
        Status::Expired(_) => "; a login is needed",
    };
    format!("{}{then}", moment(end))
}
