//! The client credentials grant (RFC 6749 §4.4).

use super::grants::{CLIENT_CREDENTIALS, Request};
use super::refusal::Refusal;
use super::resource::select_resource;
use super::scope::parse_scopes;
use crate::state::token_store::tokens::{ApprovedGrant, Issued};

/// Issues an access token. RFC 6749 §4.4.3: "A refresh token SHOULD NOT be included."
pub(super) fn issue(request: &Request<'_>) -> Result<Issued, Refusal> {
    let Request {
        state,
        form,
        client,
        key,
    } = request;
    let resource = select_resource(&state.resources(), state, form.find("resource"))?;
    let granted = ApprovedGrant {
        grant_type: CLIENT_CREDENTIALS,
        client_id: client.id.clone(),
        subject: None,
        resources: vec![resource.clone()],
        scopes: parse_scopes(state, form.find("scope"))?,
        refreshable: false,
        key: key.clone(),
        public: client.is_public(),
    };
    let now = state.now();
    let (_, issued) =
        state
            .token_store()
            .tokens
            .create_family(granted, resource, &state.settings, now);
    Ok(issued)
}
