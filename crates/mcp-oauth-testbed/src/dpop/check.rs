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

/// Says how far `iat` may be from the testbed's clock, in seconds (`spec-checklist` J8).
const WINDOW: f64 = 300.0;

/// Holds what private keys have and public ones have not (RFC 7518 §6.2.2, §6.3.2 and §6.4).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Says why a proof proves nothing.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It is wrong (`invalid_dpop_proof`).
    Invalid(&'static str),
    /// It lacks the nonce that the server wants (`use_dpop_nonce`).
    Nonce,
}

impl Problem {
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

/// Holds what a proof must be for.
#[derive(Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) party: Peer,
    pub(crate) method: &'a str,
    /// Without query and fragment.
    pub(crate) url: String,
    /// At a resource: the token that comes with it.
    pub(crate) access_token: Option<&'a str>,
}

/// Returns the thumbprint of the key that was proven.
pub(crate) fn check(
    world: &TestbedState,
    headers: &HeaderMap,
    expected: &Expected<'_>,
) -> Result<String, Problem> {
    let jwt = sole(headers)?;
    let thumbprint = signer(&jwt)?;
    check_target(&jwt, expected)?;
    let now = world.now().as_secs_f64();
    if jwt.date("iat").is_none_or(|iat| (iat - now).abs() > WINDOW) {
        return Err(Problem::Invalid("iat is missing, or not of these minutes"));
    }
    if let Some(token) = expected.access_token {
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        if jwt.claim("ath") != Some(BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()).as_str()) {
            return Err(Problem::Invalid("ath is not the hash of the access token"));
        }
    }
    let jti = jwt.claim("jti").ok_or(Problem::Invalid("jti is missing"))?;
    // Before the nonce: who comes back with a nonce comes with a new proof (RFC 9449 §8).
    if !world.nonces().is_first_use(&thumbprint, jti) {
        return Err(Problem::Invalid("the jti was used before"));
    }
    check_nonce(world, &jwt, expected.party)?;
    Ok(thumbprint)
}

/// RFC 9449 §4.3: "There is not more than one `DPoP` HTTP request header field", and it is a JWT.
fn sole(headers: &HeaderMap) -> Result<Jwt, Problem> {
    let mut values = headers.get_all(HEADER).iter();
    let first = values.next().ok_or(Problem::Invalid("there is no proof"))?;
    if values.next().is_some() {
        return Err(Problem::Invalid("there is more than one proof"));
    }
    let jwt = first.to_str().ok().and_then(Jwt::parse);
    jwt.ok_or(Problem::Invalid("the proof is not a JWT"))
}

/// Returns the key in the header is public, and signed the proof.
fn signer(jwt: &Jwt) -> Result<String, Problem> {
    if jwt.header("typ") != Some("dpop+jwt") {
        return Err(Problem::Invalid("typ is not dpop+jwt"));
    }
    let jwk = jwt.jwk().ok_or(Problem::Invalid("jwk is missing"))?;
    let is_private = |jwk: &Value| PRIVATE_MEMBERS.iter().any(|name| jwk.get(name).is_some());
    if is_private(jwk) {
        return Err(Problem::Invalid("jwk holds a private key"));
    }
    let key = PublicKey::from_jwk(jwk).map_err(|_| Problem::Invalid("jwk cannot be read"))?;
    if !jwt.is_signed_by(std::slice::from_ref(&key)) {
        return Err(Problem::Invalid("the proof is not signed by its key"));
    }
    key.thumbprint()
        .map_err(|_| Problem::Invalid("jwk cannot be read"))
}

/// `htm` and `htu` are those of this request. The spelling of the URI may differ where RFC 3986
/// §6.2.2 says that it means the same, which a URL parser evens out.
fn check_target(jwt: &Jwt, expected: &Expected<'_>) -> Result<(), Problem> {
    if jwt.claim("htm") != Some(expected.method) {
        return Err(Problem::Invalid("htm is not the method"));
    }
    let named = jwt.claim("htu").and_then(|htu| Url::parse(htu).ok());
    let named = named.ok_or(Problem::Invalid("htu is missing or no URL"))?;
    // RFC 9449 §4.2: "without query and fragment parts".
    if named.query().is_some() || named.fragment().is_some() {
        return Err(Problem::Invalid("htu has a query or a fragment"));
    }
    if Url::parse(&expected.url).ok().as_ref() != Some(&named) {
        return Err(Problem::Invalid("htu is not the URL"));
    }
    Ok(())
}

fn check_nonce(world: &TestbedState, jwt: &Jwt, party: Peer) -> Result<(), Problem> {
    let wanted = world.nonces().current(party);
    if wanted.is_some() && world.faults().has(&Fault::DpopNonceForEver) {
        world.nonces().renew();
        return Err(Problem::Nonce);
    }
    match wanted {
        Some(nonce) if jwt.claim("nonce") != Some(&nonce) => Err(Problem::Nonce),
        _ => Ok(()),
    }
}
