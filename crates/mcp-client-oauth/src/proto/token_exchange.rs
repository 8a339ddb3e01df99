//! Token exchange (RFC 8693) at an organization's identity provider, for an identity assertion
//! authorization grant (ID-JAG): step 1 of enterprise-managed authorization (spec-checklist J4).

use serde::Deserialize;

use super::{
    assertion::Assertion, client_auth::ClientAuth, endpoint::Endpoint, foreign::Foreign, lenient,
    resource_metadata::Resource, scope::Scope, server_metadata::Issuer, token, token::TokenError,
};
use crate::{
    platform::{Reach, Request, Response},
    secret::Secret,
};

/// What is asked for, and the only thing that is taken.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// Why the identity provider has given no ID-JAG.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenExchangeError {
    /// It said no, or made no sense.
    #[error(transparent)]
    Answer(#[from] TokenError),
    /// It has given something else, which is shown to nobody (H182).
    #[error("it issued a token of the type `{0}`, and not an ID-JAG")]
    OtherType(Foreign),
}

/// The request for an ID-JAG: `id_token` says who the person is, `audience` is the authorization
/// server that will take the ID-JAG.
pub fn request(
    endpoint: &Endpoint,
    reach: Reach,
    client: &ClientAuth<'_>,
    id_token: &Assertion,
    audience: &Issuer,
    resource: &Resource,
    scope: Option<&Scope>,
) -> Request {
    let scope = scope.map(ToString::to_string);
    let mut fields = vec![
        (
            "grant_type",
            "urn:ietf:params:oauth:grant-type:token-exchange",
        ),
        ("requested_token_type", ID_JAG),
        ("audience", audience.as_str()),
        ("resource", resource.as_str()),
        ("subject_token", id_token.expose()),
        (
            "subject_token_type",
            "urn:ietf:params:oauth:token-type:id_token",
        ),
    ];
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    client.post(endpoint, reach, &fields)
}

/// Reads the answer (RFC 8693 §2.2.1). `secrets` are what the request carried: they are blotted out
/// of the server's words.
pub fn response(answer: &Response, secrets: &[&str]) -> Result<Assertion, TokenExchangeError> {
    #[derive(Deserialize)]
    struct Wire {
        /// So called for historical reasons, says RFC 8693 §2.2.1.
        access_token: Secret<String>,
        issued_token_type: String,
    }
    if let Some(refusal) = token::refusal(answer, secrets) {
        return Err(refusal.into());
    }
    let malformed = |why: &str| TokenError::Malformed {
        status: answer.status.as_u16(),
        why: Foreign::new(why),
    };
    let wire: Wire =
        serde_json::from_slice(&answer.body).map_err(|error| malformed(&lenient::shape(&error)))?;
    if wire.issued_token_type != ID_JAG {
        let found = Foreign::new(&wire.issued_token_type).without(secrets);
        return Err(TokenExchangeError::OtherType(found));
    }
    let id_jag = Assertion::parse(wire.access_token.expose());
    Ok(id_jag.ok_or_else(|| malformed("what it issued is no JWT"))?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn read(status: u16, body: &Value) -> Result<Assertion, TokenExchangeError> {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Response::new(status, HeaderMap::new(), body.to_string());
        response(&answer, &["planted.id.token"])
    }

    #[test]
    fn an_id_jag_is_taken_whatever_its_token_type() {
        for token_type in [json!("N_A"), json!("n_a"), json!(null)] {
            let body = json!({"access_token": "a.b.c", "issued_token_type": ID_JAG, "token_type": token_type});
            assert_eq!(read(200, &body).unwrap().expose(), "a.b.c");
        }
    }

    #[test]
    fn another_type_is_refused() {
        for other in [
            "urn:ietf:params:oauth:token-type:access_token",
            "urn:ietf:params:oauth:token-type:jwt",
            "urn:ietf:params:oauth:token-type:ID-JAG",
            "",
        ] {
            let body = json!({"access_token": "a.b.c", "issued_token_type": other});
            let error = read(200, &body).unwrap_err();
            assert_eq!(error, TokenExchangeError::OtherType(Foreign::new(other)));
        }
    }

    #[test]
    fn what_is_malformed_is_not_quoted() {
        for body in [
            json!({"access_token": "planted", "issued_token_type": ID_JAG}),
            json!({"access_token": "planted.planted.planted"}),
            json!({"access_token": 5, "issued_token_type": ID_JAG}),
            json!("planted"),
        ] {
            let error = read(200, &body).unwrap_err();
            assert!(
                matches!(
                    error,
                    TokenExchangeError::Answer(TokenError::Malformed { .. })
                ),
                "{body}"
            );
            assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
        }
    }

    #[test]
    fn a_refusal_does_not_echo_the_id_token() {
        let body =
            json!({"error": "invalid_grant", "error_description": "planted.id.token is old"});
        let error = read(400, &body).unwrap_err().to_string();
        assert!(
            error.contains("invalid_grant") && !error.contains("planted"),
            "{error}"
        );
    }

    #[test]
    fn a_type_does_not_echo_the_id_token() {
        let body = json!({"access_token": "a.b.c", "issued_token_type": "of planted.id.token"});
        let error = read(200, &body).unwrap_err().to_string();
        assert!(error.contains("of [redacted]"), "{error}");
    }
}
