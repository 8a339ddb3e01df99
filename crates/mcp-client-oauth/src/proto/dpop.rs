//! Proof of possession (RFC 9449): the key of a login, the proofs that it signs, and the nonces that
//! servers want to see in them.
//!
//! ES256 only, which every server must be able to check that knows DPoP (spec-checklist J10).

use http::HeaderName;

mod key;
mod nonce;

pub use key::{ALGORITHM, DpopError, DpopKey};
pub use nonce::{DpopNonce, NONCE};

/// The header that carries a proof (RFC 9449 §4.1).
pub const PROOF: HeaderName = HeaderName::from_static("dpop");
/// Holds what a server says that wants a nonce in the proof (RFC 9449 §8, §9).
pub const USE_NONCE: &str = "use_dpop_nonce";
