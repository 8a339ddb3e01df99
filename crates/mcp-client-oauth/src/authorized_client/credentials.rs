//! The headers that authorize one request.

use http::{HeaderMap, HeaderValue, header};

use crate::proto::dpop::PROOF;

/// The headers of one request that is sent once: its token, and a proof of possession if the token is
/// bound to a key (RFC 9449 §7.1).
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

    /// Sets the headers and replaces those of the same name.
    pub fn apply(self, headers: &mut HeaderMap) {
        headers.insert(header::AUTHORIZATION, self.authorization);
        if let Some(proof) = self.proof {
            headers.insert(PROOF, proof);
        }
    }
}

impl From<Credentials> for HeaderMap {
    fn from(credentials: Credentials) -> Self {
        let mut headers = Self::new();
        credentials.apply(&mut headers);
        headers
    }
}
