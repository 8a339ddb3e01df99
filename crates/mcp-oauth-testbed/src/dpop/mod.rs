//! Proofs of possession (RFC 9449): both servers ask for them, and look at them alike.

mod nonces;
mod proof;

use axum::response::Response;
use http::{HeaderMap, HeaderValue};

use crate::builder::DpopPolicy;
use crate::faults::{Endpoint, Fault};
use crate::jose::{ALGORITHMS, Algorithm};
use crate::recorded::Party;
use crate::world::World;

pub(crate) use nonces::Nonces;
pub use proof::DpopProof;
pub(crate) use proof::{Expected, check};

/// The request header that holds the proof.
pub(crate) const HEADER: &str = "dpop";

const NONCE_HEADER: &str = "dpop-nonce";

/// Why a proof proves nothing.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It is wrong (`invalid_dpop_proof`).
    Invalid(&'static str),
    /// It lacks the nonce that the server wants (`use_dpop_nonce`).
    Nonce,
}

impl Problem {
    /// The `error` code.
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_dpop_proof",
            Self::Nonce => "use_dpop_nonce",
        }
    }

    /// The `error_description`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(reason) => reason,
            Self::Nonce => "the proof must have the nonce of this server",
        }
    }
}

/// The names of the algorithms that a proof may be signed with.
pub(crate) fn algorithms() -> [&'static str; 3] {
    ALGORITHMS.map(Algorithm::name)
}

/// The thumbprint of the key that a token request proves (RFC 9449 §5), if there is a proof. Who
/// does not offer them does not see the header.
pub(crate) fn at_token_endpoint(
    world: &World,
    headers: &HeaderMap,
) -> Result<Option<String>, Problem> {
    match world.settings.dpop {
        DpopPolicy::Off => return Ok(None),
        DpopPolicy::Offered if !headers.contains_key(HEADER) => return Ok(None),
        DpopPolicy::Offered | DpopPolicy::Required => {}
    }
    let expected = Expected {
        party: Party::AuthorizationServer,
        method: "POST",
        url: format!("{}/token", world.origins.authorization),
        access_token: None,
    };
    check(world, headers, &expected).map(Some)
}

/// Every answer of the two endpoints that want a nonce carries the one that is good now (RFC 9449
/// §8.2: a nonce may come with a success, too).
pub(crate) fn supply(world: &World, endpoint: Option<Endpoint>, answer: &mut Response) {
    let party = match endpoint {
        Some(Endpoint::Token) => Party::AuthorizationServer,
        Some(Endpoint::Mcp) => Party::Mcp,
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
