//! Checks the token of the `Authorization` header, and the DPoP proof that belongs to it.

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

/// A request with an accepted token.
#[derive(Debug)]
pub(super) struct Authorized(pub(super) Caller);

impl FromRequestParts<Arc<TestbedState>> for Authorized {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<TestbedState>,
    ) -> Result<Self, Response> {
        if state.settings.unprotected {
            return Ok(Self(None));
        }
        let Some(authorization) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(challenge::missing(state));
        };
        let Some((scheme, token)) = authorization.to_str().ok().and_then(presented_token) else {
            return Err(challenge::invalid(state, Scheme::Bearer));
        };
        // MCP authorization 2026-07-28, "Token Handling": valid, and issued for this server.
        let access = state.token_store().tokens.access(token, state.now());
        let access = access
            .filter(|access| access.resource == state.resource())
            .filter(|_| !state.faults().has(&Fault::RejectsEveryToken))
            .filter(|access| scheme_matches(state, scheme, access))
            .ok_or_else(|| challenge::invalid(state, scheme))?;
        if scheme == Scheme::Dpop {
            let expected = Expected {
                peer: Peer::Mcp,
                method: parts.method.as_str(),
                url: format!("{}{}", state.origins.mcp, parts.uri.path()),
                access_token: Some(token),
            };
            let key = check(state, &parts.headers, &expected)
                .map_err(|problem| challenge::invalid_proof(state, &problem))?;
            if access.key.as_ref() != Some(&key) {
                return Err(challenge::invalid(state, scheme));
            }
        }
        Ok(Self(Some(access)))
    }
}

/// Returns whether the token may be presented in this scheme. RFC 9449 §7.2: a token that is bound to
/// a key is never a bearer token; a proof does not make a bearer token a bound one.
fn scheme_matches(state: &TestbedState, scheme: Scheme, access: &Access) -> bool {
    match scheme {
        Scheme::Bearer => access.key.is_none() && state.settings.dpop != DpopPolicy::Required,
        Scheme::Dpop => access.key.is_some(),
    }
}

fn presented_token(authorization: &str) -> Option<(Scheme, &str)> {
    let (scheme, token) = authorization.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((Scheme::Bearer, token));
    }
    scheme
        .eq_ignore_ascii_case("dpop")
        .then_some((Scheme::Dpop, token))
}
