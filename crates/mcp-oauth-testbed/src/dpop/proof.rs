//! A DPoP proof as it was received (RFC 9449 §4.2).

use crate::jose::jwt::Jwt;
use crate::jose::key::PublicKey;

/// The request header that holds the proof.
pub(crate) const HEADER: &str = "dpop";

/// A DPoP proof as it was received; it may be invalid.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct DpopProof {
    /// The SHA-256 thumbprint of the key in its header.
    pub thumbprint: Option<String>,
    /// Its `jti`.
    pub jti: Option<String>,
    /// Its `htm`.
    pub htm: Option<String>,
    /// Its `htu`.
    pub htu: Option<String>,
    /// Its `iat`.
    pub iat: Option<f64>,
    /// Its `ath`.
    pub ath: Option<String>,
    /// Its `nonce`.
    pub nonce: Option<String>,
}

impl DpopProof {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let jwt = Jwt::parse(text)?;
        let claim = |name| jwt.claim(name).map(str::to_owned);
        Some(Self {
            thumbprint: jwt
                .jwk()
                .and_then(|jwk| PublicKey::from_jwk(jwk).ok()?.thumbprint().ok()),
            jti: claim("jti"),
            htm: claim("htm"),
            htu: claim("htu"),
            iat: jwt.date("iat"),
            ath: claim("ath"),
            nonce: claim("nonce"),
        })
    }
}
