//! Client authentication by a signed assertion: `private_key_jwt` (RFC 7523 §2.2 and §3).

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::jose::jwt::Jwt;
use crate::state::TestbedState;
use crate::state::token_store::Client;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Returns the assertion of a request, if there is one, and the client that it names. [`check`] verifies
/// it.
pub(super) fn presented_assertion(form: &Parameters) -> Result<Option<(String, Jwt)>, Refusal> {
    let Some(assertion) = form.find("client_assertion") else {
        return Ok(None);
    };
    if form.require("client_assertion_type")? != TYPE {
        let reason = "client_assertion_type is unknown";
        return Err(Refusal::new("invalid_request", reason));
    }
    let jwt = Jwt::parse(assertion).ok_or_else(|| refused("the assertion is not a JWT"))?;
    let id = jwt
        .claim("sub")
        .ok_or_else(|| refused("sub is missing"))?
        .to_owned();
    // RFC 7521 §4.2: client_id is not needed, and if present it must be the same client.
    if form.find("client_id").is_some_and(|named| named != id) {
        return Err(refused("client_id is not the subject of the assertion"));
    }
    Ok(Some((id, jwt)))
}

/// Checks the assertion; the signature first, since claims mean nothing before it is verified.
pub(super) fn check(
    state: &TestbedState,
    issuer: &str,
    client: &Client,
    jwt: &Jwt,
) -> Result<(), Refusal> {
    if !jwt.is_signed_by(&client.keys) {
        return Err(refused(
            "the assertion is not signed by a key of the client",
        ));
    }
    if jwt.claim("iss") != Some(&client.id) {
        return Err(refused("iss is not the client"));
    }
    // SEP-1046 (draft-ietf-oauth-rfc7523bis): the issuer, and not the token endpoint.
    if !jwt.is_for(issuer) {
        return Err(refused("aud is not the issuer of this server"));
    }
    jwt.check_dates(state.now()).map_err(refused)?;
    let jti = jwt.claim("jti").ok_or_else(|| refused("jti is missing"))?;
    // RFC 7523 §3: a jti "that has been used" is a replay.
    if !state.token_store().is_first_use(&client.id, jti) {
        return Err(refused("the assertion was used before"));
    }
    Ok(())
}

fn refused(reason: &str) -> Refusal {
    Refusal::invalid_client(reason, false)
}
