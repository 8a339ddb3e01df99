//! No key: this program was built without the feature `dpop`. All that follows from a key is there,
//! and can never happen.

use std::{convert::Infallible, time::SystemTime};

use http::{HeaderValue, Method};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::Url;

use super::{DpopNonce, NoProof};
use crate::proto::token::AccessToken;

/// The key that a login is bound to; there is none without the feature `dpop`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DpopKey(Infallible);

impl DpopKey {
    /// Always [`NoProof::NotBuilt`].
    pub fn generate() -> Result<Self, NoProof> {
        Err(NoProof::NotBuilt)
    }

    /// Never called.
    pub fn thumbprint(&self) -> String {
        match self.0 {}
    }

    /// Never called.
    pub fn proof(
        &self,
        _method: &Method,
        _url: &Url,
        _now: SystemTime,
        _nonce: Option<&DpopNonce>,
        _token: Option<&AccessToken>,
    ) -> Result<HeaderValue, NoProof> {
        match self.0 {}
    }
}

impl Serialize for DpopKey {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self.0 {}
    }
}

impl<'de> Deserialize<'de> for DpopKey {
    /// A login that is bound to a key is of no use here, and must not pass for one that is not.
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom(NoProof::NotBuilt))
    }
}
