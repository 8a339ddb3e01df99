//! Dynamic client registration (RFC 7591).

use std::time::{Duration, SystemTime};

use http::header;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    client_auth::AuthMethod, endpoint::EndpointUrl, oauth_error::OAuthErrorResponse, scope::Scope,
    serde_lenient, untrusted_text::UntrustedText,
};
use crate::{
    platform::{AddressSpace, Request, Response},
    secret::Secret,
};

mod attempts;
mod metadata;
mod response_error;

pub(crate) use attempts::joined;
pub use attempts::{Attempts, MOST_REQUESTS};
pub use metadata::ClientMetadata;
pub use response_error::RegistrationResponseError;

/// The longest client id or secret that is taken (H169).
const LONGEST: usize = 2048;

/// Holds what the server made of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ClientInformation {
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// When the secret stops working; none if never.
    pub secret_expires_at: Option<SystemTime>,
    /// The method that the server registered, if it named one that we can use.
    pub method: Option<AuthMethod>,
    /// The scope that the server registered, if it names one.
    #[serde(default)]
    pub scope: Option<Scope>,
}

/// Returns whether the server gives a client more where its registration names no scope. Keycloak
/// then gives it all that the realm offers; else only what is named, without the scopes that are the
/// realm's default and put the resource into `aud` (keycloak/keycloak#50807).
pub fn is_better_without_scope(endpoint: &EndpointUrl) -> bool {
    let path = endpoint.as_url().path().trim_end_matches('/');
    path.ends_with("/clients-registrations/openid-connect")
}

/// Returns the request that registers `metadata`.
pub fn request(endpoint: &EndpointUrl, reach: AddressSpace, metadata: &ClientMetadata) -> Request {
    let body = serde_json::to_vec(metadata).unwrap_or_default();
    Request::json(endpoint.as_url().clone(), reach, body)
}

/// Reads the answer to a registration that came at `now`: of `redirect_uri`, or of a client without
/// one.
///
/// 200 is taken for 201 (H170). The answer is refused before any browser opens if it lacks our
/// redirect URI or names an authentication method that we cannot use (H169).
pub fn response(
    answer: &Response,
    redirect_uri: Option<&Url>,
    now: SystemTime,
) -> Result<ClientInformation, RegistrationResponseError> {
    if !matches!(answer.status.as_u16(), 200 | 201) {
        return Err(refusal(answer));
    }
    let unusable = |why: &str| RegistrationResponseError::Unusable(UntrustedText::new(why));
    let wire: Wire = serde_json::from_slice(&answer.body)
        .map_err(|error| unusable(&serde_lenient::shape(&error)))?;
    let client_secret = wire
        .client_secret
        .filter(|secret| !secret.expose().is_empty());
    let client_id = wire.client_id;
    if !is_vschar(&client_id)
        || client_secret
            .as_ref()
            .is_some_and(|secret| !is_vschar(secret.expose()))
    {
        return Err(unusable(
            "the client id or secret is empty, too long, or not printable ASCII",
        ));
    }
    if let (Some(uris), Some(redirect_uri)) = (&wire.redirect_uris, redirect_uri)
        && !uris
            .iter()
            .any(|uri| Url::parse(uri).is_ok_and(|uri| same_redirect(&uri, redirect_uri)))
    {
        return Err(unusable(
            "our redirect URI is not among the registered ones",
        ));
    }
    let method = match wire
        .token_endpoint_auth_method
        .as_deref()
        .map(AuthMethod::named)
    {
        Some(None) => {
            return Err(unusable(
                "it asks for an authentication method that is not supported here",
            ));
        }
        Some(Some(method)) if method != AuthMethod::None && client_secret.is_none() => {
            return Err(unusable("it asks for a client secret and gives none"));
        }
        method => method.flatten(),
    };
    let secret_expires_at = wire.client_secret_expires_at.and_then(|at| expiry(&at));
    if client_secret.is_some() && secret_expires_at.is_some_and(|at| at <= now) {
        return Err(unusable("the client secret has expired already"));
    }
    Ok(ClientInformation {
        client_id,
        client_secret,
        secret_expires_at,
        method,
        scope: wire
            .scope
            .and_then(|text| Scope::from_tokens(text.split(' '))),
    })
}

fn refusal(answer: &Response) -> RegistrationResponseError {
    let error = OAuthErrorResponse::parse(&answer.body);
    let text = error.is_none().then(|| start_of_text(answer)).flatten();
    RegistrationResponseError::Refused {
        status: answer.status.as_u16(),
        error,
        text,
    }
}

/// Returns the start of a body for the user to read, in one line. A web page is not shown: its start
/// says nothing.
fn start_of_text(answer: &Response) -> Option<UntrustedText> {
    let kind = answer.header(header::CONTENT_TYPE).unwrap_or_default();
    let start = &answer.body[..answer.body.len().min(LONGEST)];
    // A character may be cut in two there.
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(cut) if cut.error_len().is_none() => {
            std::str::from_utf8(&start[..cut.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_page = kind.to_ascii_lowercase().contains("html") || text.trim_start().starts_with('<');
    (!words.is_empty() && !is_page).then(|| UntrustedText::new(&words.join(" ")))
}

#[derive(Deserialize)]
struct Wire {
    client_id: String,
    #[serde(default)]
    client_secret: Option<Secret<String>>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    client_secret_expires_at: Option<Value>,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    redirect_uris: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    token_endpoint_auth_method: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    scope: Option<String>,
}

/// `VSCHAR` (RFC 6749 §A.1), not empty, not endless.
fn is_vschar(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Returns the same redirect URI; on loopback the port may vary (RFC 8252 §7.3).
pub(crate) fn same_redirect(registered: &Url, ours: &Url) -> bool {
    let mut registered = registered.clone();
    if crate::server_url::is_loopback(&registered) && crate::server_url::is_loopback(ours) {
        let _ = registered.set_port(ours.port());
    }
    registered == *ours
}

/// `client_secret_expires_at`: seconds since 1970; 0, null and nonsense mean "never".
fn expiry(value: &Value) -> Option<SystemTime> {
    let seconds = value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .filter(|&s| s > 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::*;

    fn read(status: u16, body: &Value) -> Result<ClientInformation, RegistrationResponseError> {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Response::new(status, HeaderMap::new(), body.to_string());
        let ours = "http://127.0.0.1:5000/callback".parse().unwrap();
        response(
            &answer,
            Some(&ours),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
        )
    }

    #[test]
    fn a_sloppy_but_usable_answer_is_taken() {
        for body in [
            json!({"client_id": "c"}),
            json!({"client_id": "c", "client_secret": "", "client_secret_expires_at": null}),
            json!({"client_id": "c", "client_secret_expires_at": 0, "redirect_uris": ["http://127.0.0.1/callback"]}),
            json!({"client_id": "c", "token_endpoint_auth_method": "none", "redirect_uris": null}),
        ] {
            for status in [200, 201] {
                let registered = read(status, &body).unwrap();
                assert_eq!(
                    (registered.client_id.as_str(), registered.client_secret),
                    ("c", None),
                    "{body}"
                );
            }
        }
        let body =
            json!({"client_id": "c", "client_secret": "s", "client_secret_expires_at": "2000"});
        assert!(read(201, &body).unwrap().secret_expires_at.is_some());
    }

    #[test]
    fn an_unusable_answer_is_refused_before_the_browser_opens() {
        for body in [
            json!({}),
            json!({"client_id": ""}),
            json!({"client_id": "a\nb"}),
            json!({"client_id": "x".repeat(LONGEST + 1)}),
            json!({"client_id": "c", "redirect_uris": ["https://evil.example/"]}),
            json!({"client_id": "c", "redirect_uris": ["http://127.0.0.1/other"]}),
            json!({"client_id": "c", "token_endpoint_auth_method": "private_key_jwt"}),
            json!({"client_id": "c", "token_endpoint_auth_method": "client_secret_basic"}),
            json!({"client_id": "c", "client_secret": "s", "client_secret_expires_at": 999}),
        ] {
            assert!(
                matches!(
                    read(201, &body),
                    Err(RegistrationResponseError::Unusable(_))
                ),
                "{body}"
            );
        }
    }

    #[test]
    fn the_start_of_a_text_is_shown_and_no_page() {
        let refused = |kind: &str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            let answer = Response::new(StatusCode::FORBIDDEN, headers, body.to_vec());
            let refusal = response(&answer, None, SystemTime::UNIX_EPOCH).unwrap_err();
            refusal.to_string()
        };
        let plain = "the server refused to register this client (HTTP 403)";
        let with = |text: &str| format!("{}: {text})", plain.trim_end_matches(')'));
        for (kind, body, expected) in [
            ("text/plain", &b"Forbidden"[..], with("Forbidden")),
            ("text/plain", b" Not\r\n\there \n", with("Not here")),
            (
                "text/plain",
                b"\x1b[2J\xe2\x80\xae",
                with("\\u{1b}[2J\\u{202e}"),
            ),
            (
                "application/json",
                br#"{"message":"no"}"#,
                with(r#"{"message":"no"}"#),
            ),
            ("text/html", b"Forbidden", plain.to_owned()),
            ("text/plain", b"\n<html>Forbidden", plain.to_owned()),
            ("text/plain", b"", plain.to_owned()),
            ("text/plain", b" \n ", plain.to_owned()),
            ("application/octet-stream", b"\xff\xfe", plain.to_owned()),
        ] {
            assert_eq!(refused(kind, body), expected);
        }
        // The cut is in the middle of a character.
        let long = refused("text/plain", "é".repeat(LONGEST).as_bytes());
        assert!(
            long.ends_with("é…)") && long.chars().count() < 400,
            "{long}"
        );
        let cut = refused("text/plain", format!("a{}", "é".repeat(LONGEST)).as_bytes());
        assert!(cut.ends_with("é…)"), "{cut}");
    }

    #[test]
    fn a_refusal_keeps_what_the_server_said() {
        let body = json!({"error": "invalid_redirect_uri", "error_description": "only https"});
        let error = read(400, &body).unwrap_err().to_string();
        assert!(
            error.contains("400")
                && error.contains("invalid_redirect_uri")
                && error.contains("only https")
        );
    }
}
