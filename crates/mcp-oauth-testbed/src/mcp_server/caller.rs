//! The token that a request presented.

use crate::state::token_store::tokens::Access;

/// Who is calling: a token, or nobody in particular at an open server.
pub(super) type Caller = Option<Access>;

/// Says how a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 6750 §2.1.
    Bearer,
    /// RFC 9449 §7.1.
    Dpop,
}
