//! DPoP proofs (RFC 9449), which both servers check in the same way.

pub(crate) mod check;
pub(crate) mod proof;

use axum::response::Response;
use http::{HeaderMap, HeaderValue};

use crate::faults::{Endpoint, Fault};
use crate::jose::key::{ALGORITHMS, Algorithm};
use crate::request_log::Peer;
use crate::settings::grants::DpopPolicy;
use crate::state::TestbedState;
use check::{Expected, ProofError, check};
use proof::HEADER;

const NONCE_HEADER: &str = "dpop-nonce";

/// Returns the names of the algorithms that a proof may be signed with.
pub(crate) fn algorithms() -> [&'static str; 3] {
    ALGORITHMS.map(Algorithm::name)
}

/// Returns the thumbprint of the key that a token request proves (RFC 9449 §5), if there is a proof. A
/// server without DPoP ignores the header.
pub(crate) fn check_token_request(
    state: &TestbedState,
    headers: &HeaderMap,
) -> Result<Option<String>, ProofError> {
    match state.settings.dpop {
        DpopPolicy::Off => return Ok(None),
        DpopPolicy::Offered if !headers.contains_key(HEADER) => return Ok(None),
        DpopPolicy::Offered | DpopPolicy::Required => {}
    }
    let expected = Expected {
        peer: Peer::AuthorizationServer,
        method: "POST",
        url: format!("{}/token", state.origins.authorization),
        access_token: None,
    };
    check(state, headers, &expected).map(Some)
}

/// Adds the current nonce to every response of the two endpoints that require one (RFC 9449 §8.2: a
/// nonce may also be sent with a success).
pub(crate) fn add_nonce(state: &TestbedState, endpoint: Option<Endpoint>, response: &mut Response) {
    let peer = match endpoint {
        Some(Endpoint::Token) => Peer::AuthorizationServer,
        Some(Endpoint::Mcp) => Peer::Mcp,
        _ => return,
    };
    let Some(nonce) = state.nonces().current(peer) else {
        return;
    };
    let nonce = state
        .faults()
        .find(|fault| match fault {
            Fault::DpopNonce(text) => Some(text.clone()),
            _ => None,
        })
        .unwrap_or(nonce);
    if let Ok(value) = HeaderValue::from_bytes(nonce.as_bytes()) {
        response.headers_mut().insert(NONCE_HEADER, value);
    }
}
