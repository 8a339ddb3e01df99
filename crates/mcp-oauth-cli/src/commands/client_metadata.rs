//! `client-metadata`: the client metadata document to host, so that its URL is a client ID.

use mcp_client_oauth::{error::UntrustedText, flow::PrivateKey};
use serde_json::{Value, json};
use url::Url;

use crate::{
    args::ClientMetadata,
    context::Context,
    error::{Exit, Failure},
    key_file,
};

/// The redirect URIs of a login; the port may vary (RFC 8252 §7.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1/callback", "http://[::1]/callback"];

pub(super) fn run(context: &Context, typed: &ClientMetadata) -> Result<Exit, Failure> {
    check(&typed.client_id)?;
    let key = typed.private_key.as_deref();
    let key = key.map(key_file::read).transpose()?;
    let document = document(typed, key.as_ref());
    context.ui.result(&document, || format!("{document:#}"));
    Ok(Exit::Done)
}

/// Checks that a URL can be a client ID before the document is hosted: https with a path
/// (draft-ietf-oauth-client-id-metadata-document §3).
fn check(url: &Url) -> Result<(), Failure> {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() == "https" && url.path() != "/" && plain {
        return Ok(());
    }
    Err(Failure::usage(
        format!(
            "`{}` cannot be a client ID: it needs https and a path, and neither a user nor a fragment",
            UntrustedText::new(url.as_str())
        ),
        "mcp-oauth client-metadata --client-id https://app.example/client.json",
    ))
}

fn document(typed: &ClientMetadata, key: Option<&PrivateKey>) -> Value {
    let own: Vec<&str> = typed.redirect_uri.iter().map(Url::as_str).collect();
    let mut document = json!({
        "client_id": typed.client_id.as_str(),
        "client_name": typed.name,
        "redirect_uris": if own.is_empty() { LOOPBACK.to_vec() } else { own },
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": "native",
    });
    // The list is a client metadata member too (OpenID Connect Relying Party Metadata Choices 1.0 §2), and
    // servers that negotiate the method read it: one document is for many servers.
    let method = key.map_or("none", |_| "private_key_jwt");
    document["token_endpoint_auth_method"] = method.into();
    document["token_endpoint_auth_methods_supported"] = json!([method]);
    if let Some(key) = key {
        let jwk = key.public_jwk();
        document["token_endpoint_auth_signing_alg"] = jwk["alg"].clone();
        document["jwks"] = json!({ "keys": [jwk] });
    }
    document
}
