//! The client credentials grant (RFC 6749 §4.4).

use super::Refusal;
use super::authorize::{one_of, scopes};
use super::ledger::{Granted, Issued};
use super::token::Request;

pub(super) const GRANT_TYPE: &str = "client_credentials";

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
        grant_type: GRANT_TYPE,
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
        .found(granted, resource, &world.settings, now);
    Ok(issued)
}
