//! Client ID metadata documents (draft-ietf-oauth-client-id-metadata-document): the ID of the client is
//! the URL of its metadata. The testbed stays on loopback and fetches none: the test provides them.

use serde_json::{Map, Value};
use url::Url;

use super::register::{grant_types, jwks};
use crate::state::TestbedState;
use crate::state::token_store::{AllowedGrants, Client};

/// Returns the client with this URL. Without a provided document the client is public, and may use any
/// acceptable redirect URI.
pub(super) fn find(state: &TestbedState, id: &str) -> Option<Client> {
    if !state.settings.client_id_metadata_documents {
        return None;
    }
    let url = Url::parse(id).ok()?;
    if url.scheme() != "https" || url.path().len() < 2 || url.fragment().is_some() {
        return None;
    }
    let documents = &state.settings.client_documents;
    match documents.iter().find(|(known, _)| known == id) {
        Some((_, document)) => client_from_document(id, document.as_object()?),
        None => Some(Client {
            id: id.to_owned(),
            name: url.host_str().unwrap_or(id).to_owned(),
            secret: None,
            auth_method: Some("none".to_owned()),
            keys: Vec::new(),
            grants: AllowedGrants::Interactive,
            redirect_uris: Vec::new(),
            scopes: None,
        }),
    }
}

/// Returns the client of a document. §4.1 of the draft: `client_id` "MUST match the URL of the document
/// using simple string comparison", and the client has no shared secret.
fn client_from_document(id: &str, document: &Map<String, Value>) -> Option<Client> {
    let text = |name| document.get(name).and_then(Value::as_str);
    let auth_method = text("token_endpoint_auth_method").unwrap_or("none");
    let shares_a_secret =
        document.contains_key("client_secret") || auth_method.starts_with("client_secret");
    if text("client_id") != Some(id) || shares_a_secret {
        return None;
    }
    let redirect_uris = document.get("redirect_uris").and_then(Value::as_array)?;
    let redirect_uris = redirect_uris.iter().filter_map(Value::as_str);
    let redirect_uris: Vec<String> = redirect_uris.map(str::to_owned).collect();
    (!redirect_uris.is_empty()).then(|| Client {
        id: id.to_owned(),
        name: text("client_name").unwrap_or(id).to_owned(),
        secret: None,
        auth_method: Some(auth_method.to_owned()),
        keys: jwks(document),
        grants: AllowedGrants::Registered(grant_types(document)),
        redirect_uris,
        scopes: None,
    })
}
