//! Proofs of possession (RFC 9449): both servers ask for them, and look at them alike.

pub(crate) mod check;
pub(crate) mod proof;

use axum::response::Response;
use http::{HeaderMap, HeaderValue};

use crate::faults::{Endpoint, Fault};
use crate::jose::key::{ALGORITHMS, Algorithm};
use crate::request_log::Peer;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;
use check::{Expected, Problem, check};
use proof::HEADER;

const NONCE_HEADER: &str = "dpop-nonce";

/// Returns the names of the algorithms that a proof may be signed with.
pub(crate) fn algorithms() -> [&'static str; 3] {
    ALGORITHMS.map(Algorithm::name)
}

/// Returns the thumbprint of the key that a token request proves (RFC 9449 §5), if there is a proof. Who
/// does not offer them does not see the header.
pub(crate) fn at_token_endpoint(
    world: &TestbedState,
    headers: &HeaderMap,
) -> Result<Option<String>, Problem> {
    match world.settings.dpop {
        DpopPolicy::Off => return Ok(None),
        DpopPolicy::Offered if !headers.contains_key(HEADER) => return Ok(None),
        DpopPolicy::Offered | DpopPolicy::Required => {}
    }
    let expected = Expected {
        party: Peer::AuthorizationServer,
        method: "POST",
        url: format!("{}/token", world.origins.authorization),
        access_token: None,
    };
    check(world, headers, &expected).map(Some)
}

/// Every answer of the two endpoints that want a nonce carries the one that is good now (RFC 9449
/// §8.2: a nonce may come with a success, too).
pub(crate) fn supply(world: &TestbedState, endpoint: Option<Endpoint>, answer: &mut Response) {
    let party = match endpoint {
        Some(Endpoint::Token) => Peer::AuthorizationServer,
        Some(Endpoint::Mcp) => Peer::Mcp,
        _ => return,
    };
    let Some(nonce) = world.nonces().current(party) else {
        return;
    };
    let nonce = world
        .faults()
        .find(|fault| match fault {
            Fault::DpopNonce(text) => Some(text.clone()),
            _ => None,
        })
        .unwrap_or(nonce);
    if let Ok(value) = HeaderValue::from_bytes(nonce.as_bytes()) {
        answer.headers_mut().insert(NONCE_HEADER, value);
    }
}
