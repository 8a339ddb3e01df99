//! The client metadata document that an application hosts (draft-ietf-oauth-client-id-metadata-document §4).

use serde_json::{Value, json};
use url::Url;

use super::check_document;
use crate::{
    error::RegistrationError,
    proto::{private_key::PrivateKey, registration::application_type},
};

/// The redirect URIs of a login on the user's machine; the port may vary (RFC 8252 §7.3).
const LOOPBACK: [&str; 2] = ["http://127.0.0.1/callback", "http://[::1]/callback"];

/// Returns the client metadata document to serve at `client_id`, so that this URL is the client ID
/// ([`ClientBuilder::client_metadata_url`](crate::ClientBuilder::client_metadata_url)). Without
/// `redirect_uris`, it has those of a login on the user's machine. With a `key`, the client authenticates by
/// its signatures (`private_key_jwt`), and the member `jwks` has its public half: serve that alone where a
/// server has registered a `jwks_uri`.
///
/// # Errors
/// [`RegistrationError::Document`] if `client_id` cannot be a client ID: it is not https, or has no path.
pub fn client_metadata_document(
    client_id: &Url,
    client_name: &str,
    redirect_uris: &[Url],
    key: Option<&PrivateKey>,
) -> Result<Value, RegistrationError> {
    check_document(client_id)?;
    let own: Vec<&str> = redirect_uris.iter().map(Url::as_str).collect();
    let first = redirect_uris.first();
    let mut document = json!({
        "client_id": client_id.as_str(),
        "client_name": client_name,
        "redirect_uris": if own.is_empty() { LOOPBACK.to_vec() } else { own },
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "application_type": first.map_or("native", application_type),
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
    Ok(document)
}
