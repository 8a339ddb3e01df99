//! Who may come in: the token of the `Authorization` header, and what proves that it is theirs.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::header;
use http::request::Parts;

use super::caller::{Caller, Scheme};
use super::challenge;
use crate::dpop::check::{Expected, check};
use crate::faults::Fault;
use crate::request_log::Peer;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;
use crate::state::token_store::tokens::Access;

/// A request that was let in.
#[derive(Debug)]
pub(super) struct Admitted(pub(super) Caller);

impl FromRequestParts<Arc<TestbedState>> for Admitted {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        world: &Arc<TestbedState>,
    ) -> Result<Self, Response> {
        if world.settings.open {
            return Ok(Self(None));
        }
        let Some(authorization) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(challenge::missing(world));
        };
        let Some((scheme, token)) = authorization.to_str().ok().and_then(presented) else {
            return Err(challenge::invalid(world, Scheme::Bearer));
        };
        // `spec-checklist` A4, A5: good now, and issued for this server.
        let access = world.ledger().tokens.access(token, world.now());
        let access = access
            .filter(|access| access.resource == world.resource())
            .filter(|_| !world.faults().has(&Fault::RefusesEveryToken))
            .filter(|access| fits(world, scheme, access))
            .ok_or_else(|| challenge::invalid(world, scheme))?;
        if scheme == Scheme::Dpop {
            let expected = Expected {
                party: Peer::Mcp,
                method: parts.method.as_str(),
                url: format!("{}{}", world.origins.mcp, parts.uri.path()),
                access_token: Some(token),
            };
            let key = check(world, &parts.headers, &expected)
                .map_err(|problem| challenge::unproven(world, &problem))?;
            if access.key.as_ref() != Some(&key) {
                return Err(challenge::invalid(world, scheme));
            }
        }
        Ok(Self(Some(access)))
    }
}

/// RFC 9449 §7.2: a token that is bound to a key is never a bearer token; nor is a bearer token
/// more than that because a proof comes with it.
fn fits(world: &TestbedState, scheme: Scheme, access: &Access) -> bool {
    match scheme {
        Scheme::Bearer => access.key.is_none() && world.settings.dpop != DpopPolicy::Required,
        Scheme::Dpop => access.key.is_some(),
    }
}

fn presented(authorization: &str) -> Option<(Scheme, &str)> {
    let (scheme, token) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((Scheme::Bearer, token));
    }
    scheme
        .eq_ignore_ascii_case("dpop")
        .then_some((Scheme::Dpop, token))
}
