//! Keys and signed tokens (RFC 7515, 7517, 7519), as far as an authorization server needs them.
//!
//! A few lines upon aws-lc-rs and no JWT library: the testbed's verdict on a signature must not
//! come from the code that made it, and the times in a token are judged by the testbed's own clock.

mod der;
mod jwt;
mod key;
mod pem;

pub(crate) use jwt::Jwt;
pub(crate) use key::ALGORITHMS;
pub use key::{Algorithm, KeyError, KeyPair, PublicKey};
