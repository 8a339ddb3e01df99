//! Token exchange (RFC 8693) at an organization's identity provider, for an identity assertion
//! authorization grant (ID-JAG): step 1 of enterprise-managed authorization (SEP-990).

use mcp_oauth_support::{Secret, UntrustedText};
use serde::{Deserialize, Serialize};

use super::{
    access_token::LONGEST_TOKEN, assertion::Assertion, client_auth::ClientAuth,
    endpoint::EndpointUrl, resource_metadata::Resource, scope::Scope, serde_lenient,
    server_metadata::Issuer, token, token::TokenError,
};
use crate::platform::{AddressSpace, Request, Response};

/// The requested token type, and the only one that is accepted.
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// The type of the token that identifies the user (RFC 8693 §3).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub(crate) enum SubjectTokenType {
    /// An OpenID Connect ID token.
    #[default]
    IdToken,
    /// A refresh token that the identity provider issued to this client. It outlives an ID token.
    RefreshToken,
}

impl SubjectTokenType {
    /// Returns the registered identifier.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::RefreshToken => "urn:ietf:params:oauth:token-type:refresh_token",
        }
    }
}

/// A token of the identity provider that identifies the user. It is sent unchanged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SubjectToken {
    token: Secret<String>,
    token_type: SubjectTokenType,
}

impl SubjectToken {
    /// Reads the first line of `text`, without the blanks around it; none if that is no token of this
    /// type. An ID token is a JWT; a refresh token is printable ASCII (RFC 6749 §A.17).
    pub(crate) fn parse(text: &str, token_type: SubjectTokenType) -> Option<Self> {
        let token = match token_type {
            SubjectTokenType::IdToken => Assertion::parse(text)?.expose().to_owned(),
            SubjectTokenType::RefreshToken => {
                let line = text.lines().next()?.trim();
                let is_printable = line.bytes().all(|b| (0x20..=0x7e).contains(&b));
                let fits = (1..=LONGEST_TOKEN).contains(&line.len()) && is_printable;
                fits.then(|| line.to_owned())?
            }
        };
        let token = Secret::new(token);
        Some(Self { token, token_type })
    }

    /// Returns the text. The name marks each place where the secret leaves its wrapper.
    pub(crate) fn expose(&self) -> &str {
        self.token.expose()
    }
}

/// Says why the identity provider issued no ID-JAG.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenExchangeError {
    /// It refused, or its response cannot be used.
    #[error(transparent)]
    Response(#[from] TokenError),
    /// It issued a token of another type (RFC 8693 §2.2.1), which is not used.
    #[error("it issued a token of the type `{0}`, and not an ID-JAG")]
    OtherType(UntrustedText),
}

/// Returns the request for an ID-JAG: `subject` identifies the user, `audience` is the authorization
/// server that the ID-JAG is for.
pub(crate) fn request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    subject: &SubjectToken,
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
        ("subject_token", subject.expose()),
        ("subject_token_type", subject.token_type.as_str()),
    ];
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    client.build_form_request(endpoint, address_space, &fields)
}

/// Parses the response (RFC 8693 §2.2.1). `secrets` are those of the request: they are redacted in the
/// error of the server.
pub(crate) fn response(
    response: &Response,
    secrets: &[&str],
) -> Result<Assertion, TokenExchangeError> {
    #[derive(Deserialize)]
    struct Wire {
        /// The ID-JAG: the member has this name for historical reasons (RFC 8693 §2.2.1).
        access_token: Secret<String>,
        issued_token_type: String,
    }
    if let Some(refusal) = token::refusal(response, secrets) {
        return Err(refusal.into());
    }
    let malformed = |reason: &str| TokenError::Malformed {
        status: response.status.as_u16(),
        reason: UntrustedText::new(reason),
    };
    let wire: Wire = serde_json::from_slice(&response.body)
        .map_err(|error| malformed(&serde_lenient::shape(&error)))?;
    if wire.issued_token_type != ID_JAG {
        let found = UntrustedText::new(&wire.issued_token_type).redact(secrets);
        return Err(TokenExchangeError::OtherType(found));
    }
    let id_jag = Assertion::parse(wire.access_token.expose());
    Ok(id_jag.ok_or_else(|| malformed("the issued token is not a JWT"))?)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;

    fn read(status: u16, body: &Value) -> Result<Assertion, TokenExchangeError> {
        let status = StatusCode::from_u16(status).unwrap();
        let received = Response::new(status, HeaderMap::new(), body.to_string());
        response(&received, &["planted.id.token"])
    }

    #[test]
    fn a_subject_token_is_parsed_by_its_type() {
        let read = |text, token_type| SubjectToken::parse(text, token_type);
        let (id, refresh) = (SubjectTokenType::IdToken, SubjectTokenType::RefreshToken);
        assert_eq!(read(" a.b.c \n", id).unwrap().expose(), "a.b.c");
        assert_eq!(read("opaque", id), None);
        let token = read(" 1.AXQ-opaque/+~ \r\nmore", refresh).unwrap();
        assert_eq!(token.expose(), "1.AXQ-opaque/+~");
        assert!(!format!("{token:?}").contains("opaque"));
        let long = "x".repeat(LONGEST_TOKEN + 1);
        for text in ["", "\n", "  ", "\u{e9}", "a\u{1}b", &long] {
            assert_eq!(read(text, refresh), None, "{text:?}");
        }
    }

    #[test]
    fn an_id_jag_is_accepted_with_any_token_type() {
        for token_type in [json!("N_A"), json!("n_a"), json!(null)] {
            let body = json!({"access_token": "a.b.c", "issued_token_type": ID_JAG, "token_type": token_type});
            assert_eq!(read(200, &body).unwrap().expose(), "a.b.c");
        }
    }

    #[test]
    fn another_issued_token_type_is_refused() {
        for other in [
            "urn:ietf:params:oauth:token-type:access_token",
            "urn:ietf:params:oauth:token-type:jwt",
            "urn:ietf:params:oauth:token-type:ID-JAG",
            "",
        ] {
            let body = json!({"access_token": "a.b.c", "issued_token_type": other});
            let error = read(200, &body).unwrap_err();
            assert_eq!(
                error,
                TokenExchangeError::OtherType(UntrustedText::new(other))
            );
        }
    }

    #[test]
    fn a_malformed_response_is_not_quoted() {
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
                    TokenExchangeError::Response(TokenError::Malformed { .. })
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
