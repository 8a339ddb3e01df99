//! What a request needs to be let in.

use http::{HeaderMap, HeaderValue, header};

use crate::proto::dpop::PROOF;

/// The headers of one request that is sent once: its token, and the proof that we have the key that
/// the token is bound to, if it is bound to one (RFC 9449 §7.1).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Credentials {
    /// The value of `Authorization`, marked sensitive.
    pub authorization: HeaderValue,
    /// The value of `DPoP`, marked sensitive; none with a bearer token.
    pub proof: Option<HeaderValue>,
}

impl Credentials {
    pub(super) fn new(authorization: HeaderValue, proof: Option<HeaderValue>) -> Self {
        Self {
            authorization,
            proof,
        }
    }

    /// Sets the headers, in the place of those of the same name.
    pub fn apply(self, headers: &mut HeaderMap) {
        headers.insert(header::AUTHORIZATION, self.authorization);
        if let Some(proof) = self.proof {
            headers.insert(PROOF, proof);
        }
    }
}
