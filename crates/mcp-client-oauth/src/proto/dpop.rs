//! Proof of possession (RFC 9449): the key of a login, the proofs that it signs, and the nonces that
//! servers require in them.
//!
//! ES256 only: an asymmetric algorithm (RFC 9449 §4.2), and the one that DPoP servers commonly support.

use http::HeaderName;

mod key;
mod nonce;

pub(crate) use key::ALGORITHM;
pub(crate) use key::DpopError;
pub use key::DpopKey;
pub(crate) use nonce::{DpopNonce, NONCE};

/// The header that carries a proof (RFC 9449 §4.1).
pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
/// The error code of a server that requires a nonce in the proof (RFC 9449 §8, §9).
pub(crate) const USE_NONCE: &str = "use_dpop_nonce";
