//! The checks of RFC 9449 §4.3.

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderMap;
use serde_json::Value;
use url::Url;

use super::proof::HEADER;
use crate::faults::Fault;
use crate::jose::jwt::Jwt;
use crate::jose::key::PublicKey;
use crate::request_log::Peer;
use crate::state::TestbedState;

/// The largest difference between `iat` and the testbed's clock, in seconds (RFC 9449 §11.1; the MCP
/// extension SEP-1932 names five minutes).
const MAX_IAT_DIFFERENCE: f64 = 300.0;

/// The members that only private keys have (RFC 7518 §6.2.2, §6.3.2 and §6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The reason why a proof is refused.
#[derive(Debug)]
pub(crate) enum ProofError {
    /// The proof is invalid (`invalid_dpop_proof`).
    Invalid(&'static str),
    /// The proof lacks the nonce that the server requires (`use_dpop_nonce`).
    Nonce,
}

impl ProofError {
    /// Returns the `error` code.
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_dpop_proof",
            Self::Nonce => "use_dpop_nonce",
        }
    }

    /// Returns the `error_description`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(reason) => reason,
            Self::Nonce => "the proof must have the nonce of this server",
        }
    }
}

/// The request that a proof must match.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) peer: Peer,
    pub(crate) method: &'a str,
    /// Without query and fragment.
    pub(crate) url: String,
    /// At a resource: the token that is sent with the proof.
    pub(crate) access_token: Option<&'a str>,
}

/// Checks the proof of a request and returns the thumbprint of its key.
pub(crate) fn check(
    state: &TestbedState,
    headers: &HeaderMap,
    expected: &Expected<'_>,
) -> Result<String, ProofError> {
    let jwt = single_proof(headers)?;
    let thumbprint = key_thumbprint(&jwt)?;
    check_target(&jwt, expected)?;
    let now = state.now().as_secs_f64();
    if jwt
        .date("iat")
        .is_none_or(|iat| (iat - now).abs() > MAX_IAT_DIFFERENCE)
    {
        return Err(ProofError::Invalid(
            "iat is missing, or differs by more than five minutes",
        ));
    }
    if let Some(token) = expected.access_token {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        if jwt.claim("ath") != Some(BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()).as_str()) {
            return Err(ProofError::Invalid(
                "ath is not the hash of the access token",
            ));
        }
    }
    let jti = jwt
        .claim("jti")
        .ok_or(ProofError::Invalid("jti is missing"))?;
    // Before the nonce: a client that repeats the request with a nonce sends a new proof (RFC 9449 §8).
    if !state.nonces().is_first_use(&thumbprint, jti) {
        return Err(ProofError::Invalid("the jti was used before"));
    }
    check_nonce(state, &jwt, expected.peer)?;
    Ok(thumbprint)
}

/// Returns the proof. RFC 9449 §4.3: "There is not more than one `DPoP` HTTP request header field",
/// and it is a JWT.
fn single_proof(headers: &HeaderMap) -> Result<Jwt, ProofError> {
    let mut values = headers.get_all(HEADER).iter();
    let first = values
        .next()
        .ok_or(ProofError::Invalid("there is no proof"))?;
    if values.next().is_some() {
        return Err(ProofError::Invalid("there is more than one proof"));
    }
    let jwt = first.to_str().ok().and_then(Jwt::parse);
    jwt.ok_or(ProofError::Invalid("the proof is not a JWT"))
}

/// Returns the thumbprint of the key in the header, which must be public and must have signed the
/// proof.
fn key_thumbprint(jwt: &Jwt) -> Result<String, ProofError> {
    if jwt.header("typ") != Some("dpop+jwt") {
        return Err(ProofError::Invalid("typ is not dpop+jwt"));
    }
    let jwk = jwt.jwk().ok_or(ProofError::Invalid("jwk is missing"))?;
    let is_private = |jwk: &Value| PRIVATE_MEMBERS.iter().any(|name| jwk.get(name).is_some());
    if is_private(jwk) {
        return Err(ProofError::Invalid("jwk holds a private key"));
    }
    let key = PublicKey::from_jwk(jwk).map_err(|_| ProofError::Invalid("jwk cannot be read"))?;
    if !jwt.is_signed_by(std::slice::from_ref(&key)) {
        return Err(ProofError::Invalid("the proof is not signed by its key"));
    }
    key.thumbprint()
        .map_err(|_| ProofError::Invalid("jwk cannot be read"))
}

/// Checks that `htm` and `htu` are those of this request. The spelling of the URI may differ if it is
/// equivalent by RFC 3986 §6.2.2; the URL parser normalizes it.
fn check_target(jwt: &Jwt, expected: &Expected<'_>) -> Result<(), ProofError> {
    if jwt.claim("htm") != Some(expected.method) {
        return Err(ProofError::Invalid("htm is not the method"));
    }
    let named = jwt.claim("htu").and_then(|htu| Url::parse(htu).ok());
    let named = named.ok_or(ProofError::Invalid("htu is missing or no URL"))?;
    // RFC 9449 §4.2: "without query and fragment parts".
    if named.query().is_some() || named.fragment().is_some() {
        return Err(ProofError::Invalid("htu has a query or a fragment"));
    }
    if Url::parse(&expected.url).ok().as_ref() != Some(&named) {
        return Err(ProofError::Invalid("htu is not the URL"));
    }
    Ok(())
}

fn check_nonce(state: &TestbedState, jwt: &Jwt, peer: Peer) -> Result<(), ProofError> {
    let current = state.nonces().current(peer);
    if current.is_some() && state.faults().has(&Fault::AlwaysNewDpopNonce) {
        state.nonces().renew();
        return Err(ProofError::Nonce);
    }
    match current {
        Some(nonce) if jwt.claim("nonce") != Some(&nonce) => Err(ProofError::Nonce),
        _ => Ok(()),
    }
}
