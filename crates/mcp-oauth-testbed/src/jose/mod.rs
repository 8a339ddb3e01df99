//! Keys and signed tokens (RFC 7515, 7517, 7519), as far as an authorization server needs them.
//!
//! `jsonwebtoken` signs, verifies and computes thumbprints; the client does not use it, so the two
//! implementations check each other. This module does what that crate does not: its checks of `exp`
//! and `nbf` read the system's clock and not the testbed's, its encoder writes no header that
//! contradicts the key, and its header type drops the private members of a `jwk`, which RFC 9449 §4.3
//! requires to refuse.

pub(crate) mod jwt;
pub(crate) mod key;
