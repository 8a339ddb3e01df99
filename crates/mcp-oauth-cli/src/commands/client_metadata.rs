//! `client-metadata`: the document that somebody hosts, so that its URL is a client id.

use serde_json::{Value, json};
use url::Url;

use super::Context;
use crate::{
    args::ClientMetadata,
    exit::{Exit, Failure},
};

/// Where a login comes back to; the port may vary (RFC 8252 §7.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1/callback", "http://[::1]/callback"];

pub(super) fn run(context: &Context, typed: &ClientMetadata) -> Result<Exit, Failure> {
    check(&typed.client_id)?;
    let document = document(typed);
    context.ui.result(&document, || format!("{document:#}"));
    Ok(Exit::Done)
}

/// spec-checklist D5, H174: what could not be a client id is found before it is hosted.
fn check(url: &Url) -> Result<(), Failure> {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() == "https" && url.path() != "/" && plain {
        return Ok(());
    }
    Err(Failure::usage(
        "this URL cannot be a client id: it needs https and a path, and neither a user nor a fragment",
        "mcp-oauth client-metadata --client-id https://app.example/client.json",
    ))
}

fn document(typed: &ClientMetadata) -> Value {
    let own: Vec<&str> = typed.redirect_uri.iter().map(Url::as_str).collect();
    json!({
        "client_id": typed.client_id.as_str(),
        "client_name": typed.name,
        "redirect_uris": if own.is_empty() { LOOPBACK.to_vec() } else { own },
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}
