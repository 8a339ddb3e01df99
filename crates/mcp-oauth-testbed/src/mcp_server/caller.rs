//! The token that a request presented.

use crate::state::token_store::tokens::Access;

/// The access token of the caller; none at an unprotected server.
pub(super) type Caller = Option<Access>;

/// The scheme in which a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 6750 §2.1.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}
