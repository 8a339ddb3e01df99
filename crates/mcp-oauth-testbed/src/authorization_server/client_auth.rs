//! Client authentication at the token and revocation endpoints (RFC 6749 §2.3).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, header};
use url::form_urlencoded;

use super::parameters::Parameters;
use super::refusal::Refusal;
use super::{assertion, client_document};
use crate::jose::jwt::Jwt;
use crate::state::TestbedState;
use crate::state::token_store::Client;

/// The credentials that a client presented.
#[derive(Debug)]
struct Presented {
    id: String,
    proof: Proof,
}

#[derive(Debug)]
enum Proof {
    None,
    BasicSecret(String),
    PostedSecret(String),
    Assertion(Jwt),
}

impl Proof {
    fn method(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::BasicSecret(_) => "client_secret_basic",
            Self::PostedSecret(_) => "client_secret_post",
            Self::Assertion(_) => "private_key_jwt",
        }
    }
}

/// Returns the client that sent this request to the authorization server.
pub(super) fn authenticate(
    state: &TestbedState,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Client, Refusal> {
    authenticate_at(state, &state.issuer(), |id| find(state, id), headers, form)
}

/// Returns the client that sent this request to the server with this issuer; `find` looks up a client.
pub(super) fn authenticate_at(
    state: &TestbedState,
    issuer: &str,
    find: impl Fn(&str) -> Option<Client>,
    headers: &HeaderMap,
    form: &Parameters,
) -> Result<Client, Refusal> {
    let presented = presented_credentials(headers, form)?;
    let method = presented.proof.method();
    let basic = method == "client_secret_basic";
    let client = find(&presented.id)
        .ok_or_else(|| Refusal::invalid_client("the client is unknown", basic))?;
    let fits = match &client.auth_method {
        Some(expected) => expected == method,
        None => basic || method == "client_secret_post",
    };
    if !fits {
        let reason = "the client authenticates by another method";
        return Err(Refusal::invalid_client(reason, basic));
    }
    match presented.proof {
        Proof::None => {}
        Proof::Assertion(jwt) => assertion::check(state, issuer, &client, &jwt)?,
        Proof::BasicSecret(secret) | Proof::PostedSecret(secret) => {
            if client.secret.as_ref() != Some(&secret) {
                return Err(Refusal::invalid_client("the client secret is wrong", basic));
            }
        }
    }
    Ok(client)
}

/// Returns a registered client, or one with the URL of its metadata document as its ID.
pub(super) fn find(state: &TestbedState, id: &str) -> Option<Client> {
    let registered = state.token_store().client(id);
    registered.or_else(|| client_document::find(state, id))
}

/// Returns the presented credentials. RFC 6749 §2.3: "The client MUST NOT use more than one
/// authentication method in each request."
fn presented_credentials(headers: &HeaderMap, form: &Parameters) -> Result<Presented, Refusal> {
    let basic = headers.get(header::AUTHORIZATION);
    let asserted = assertion::presented_assertion(form)?;
    let posted = form.find("client_secret").map(str::to_owned);
    let methods = [basic.is_some(), asserted.is_some(), posted.is_some()];
    if methods.iter().filter(|used| **used).count() > 1 {
        let reason = "two authentication methods at once";
        return Err(Refusal::new("invalid_request", reason));
    }
    if let Some((id, jwt)) = asserted {
        let proof = Proof::Assertion(jwt);
        return Ok(Presented { id, proof });
    }
    let Some(authorization) = basic else {
        let id = form.require("client_id")?.to_owned();
        let proof = posted.map_or(Proof::None, Proof::PostedSecret);
        return Ok(Presented { id, proof });
    };
    let (id, secret) = authorization
        .to_str()
        .ok()
        .and_then(basic_credentials)
        .ok_or_else(|| Refusal::invalid_client("the authorization header is not Basic", true))?;
    if form.find("client_id").is_some_and(|named| named != id) {
        return Err(Refusal::new(
            "invalid_request",
            "client_id is not the authenticated client",
        ));
    }
    let proof = Proof::BasicSecret(secret);
    Ok(Presented { id, proof })
}

/// Parses HTTP Basic credentials. RFC 6749 §2.3.1: identifier and password are form-encoded separately
/// before they are joined by a colon.
fn basic_credentials(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = joined.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

/// Decodes a form-encoded value. A client that follows RFC 6749 §2.3.1 encodes `=` and `&`; for one that
/// does not they are kept, so that it fails because of a wrong secret and not of a truncated one.
fn form_decoded(text: &str) -> String {
    let guarded = text.replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(guarded.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        // The pair `client:1` and `p@ss wörd+%` as RFC 6749 appendix B has it.
        let value = format!(
            "Basic {}",
            BASE64_STANDARD.encode("client%3A1:p%40ss+w%C3%B6rd%2B%25")
        );
        let expected = ("client:1".to_owned(), "p@ss wörd+%".to_owned());
        assert_eq!(basic_credentials(&value), Some(expected));
    }

    #[test]
    fn credentials_that_are_not_basic_are_refused() {
        for bad in ["Bearer abc", "Basic", "Basic !!!", "Basic bm9jb2xvbg=="] {
            assert_eq!(basic_credentials(bad), None, "{bad}");
        }
    }
}
