//! The client credentials grant (RFC 6749 §4.4).

use super::grants::{CLIENT_CREDENTIALS, Request};
use super::refusal::Refusal;
use super::resource::one_of;
use super::scope::scopes;
use crate::state::token_store::tokens::{Granted, Issued};

/// RFC 6749 §4.4.3: "A refresh token SHOULD NOT be included."
pub(super) fn issue(request: &Request<'_>) -> Result<Issued, Refusal> {
    let Request {
        world,
        form,
        client,
        key,
    } = request;
    let resource = one_of(&world.resources(), world, form.find("resource"))?;
    let granted = Granted {
        grant_type: CLIENT_CREDENTIALS,
        client_id: client.id.clone(),
        subject: None,
        resources: vec![resource.clone()],
        scopes: scopes(world, form.find("scope"))?,
        refreshable: false,
        key: key.clone(),
        public: client.is_public(),
    };
    let now = world.now();
    let (_, issued) = world
        .ledger()
        .tokens
        .found(granted, resource, &world.settings, now);
    Ok(issued)
}
