//! Dynamic client registration (RFC 7591).

use std::time::{Duration, SystemTime};

use http::header;
use mcp_oauth_support::{Secret, UntrustedText};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::{
    client_auth::AuthMethod, endpoint::EndpointUrl, oauth_error::OAuthErrorResponse, scope::Scope,
    serde_lenient,
};
use crate::platform::{AddressSpace, Request, Response};

mod attempts;
mod metadata;
mod response_error;

pub(crate) use attempts::Attempts;
pub(crate) use attempts::joined;
pub(crate) use metadata::{ClientMetadata, application_type};
pub use response_error::RegistrationResponseError;

/// The longest client id or secret that is accepted, in bytes.
const LONGEST: usize = 2048;

/// A registered client, as in the response of the server (RFC 7591 §3.2.1).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub(crate) struct ClientInformation {
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// The time at which the secret expires; none if never.
    pub secret_expires_at: Option<SystemTime>,
    /// The method that the server registered, if it sent one.
    pub method: Option<AuthMethod>,
    /// The scope that the server registered, if it sent one.
    #[serde(default)]
    pub scope: Option<Scope>,
}

/// Returns whether the server grants a client more if its registration has no scope. Keycloak then
/// allows all scopes of the realm; else only those in the registration, without the default scopes of
/// the realm, which put the resource into `aud` (keycloak/keycloak#50807).
pub(crate) fn is_better_without_scope(endpoint: &EndpointUrl) -> bool {
    let path = endpoint.as_url().path().trim_end_matches('/');
    path.ends_with("/clients-registrations/openid-connect")
}

/// Returns the request that registers `metadata`.
pub(crate) fn request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    metadata: &ClientMetadata,
) -> Request {
    let body = serde_json::to_vec(metadata).unwrap_or_default();
    Request::json(endpoint.as_url().clone(), address_space, body)
}

/// Parses the response to a registration that was received at `now`: with `redirect_uri`, or of a client
/// without one.
///
/// 200 is accepted for 201. The response is refused before a browser opens if it has other redirect
/// URIs or an authentication method that is not supported (RFC 7591 §3.2.1).
pub(crate) fn response(
    response: &Response,
    redirect_uri: Option<&Url>,
    now: SystemTime,
) -> Result<ClientInformation, RegistrationResponseError> {
    if !matches!(response.status.as_u16(), 200 | 201) {
        return Err(refusal(response));
    }
    let unusable = |reason: &str| RegistrationResponseError::Unusable(UntrustedText::new(reason));
    let wire: Wire = serde_json::from_slice(&response.body)
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
            "the redirect URI of this client is not among the registered ones",
        ));
    }
    let method = match wire
        .token_endpoint_auth_method
        .as_deref()
        .map(|name| name.parse::<AuthMethod>().ok())
    {
        Some(None) => {
            return Err(unusable(
                "it requires an authentication method that is not supported",
            ));
        }
        Some(Some(method)) if method != AuthMethod::None && client_secret.is_none() => {
            return Err(unusable("it requires a client secret and has none"));
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

fn refusal(response: &Response) -> RegistrationResponseError {
    let error = OAuthErrorResponse::parse(&response.body);
    let text = error.is_none().then(|| start_of_text(response)).flatten();
    RegistrationResponseError::Refused {
        status: response.status.as_u16(),
        error,
        text,
    }
}

/// Returns the start of a body for the user to read, in one line. A web page is not shown: its start has
/// no useful text.
fn start_of_text(response: &Response) -> Option<UntrustedText> {
    let kind = response.header(header::CONTENT_TYPE).unwrap_or_default();
    let start = &response.body[..response.body.len().min(LONGEST)];
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

/// Returns whether a text is `VSCHAR` (RFC 6749 §A.1), not empty and not too long.
fn is_vschar(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

/// Compares redirect URIs; on loopback the port may differ (RFC 8252 §7.3).
pub(crate) fn same_redirect(registered: &Url, own: &Url) -> bool {
    let mut registered = registered.clone();
    if crate::server_url::is_loopback(&registered) && crate::server_url::is_loopback(own) {
        let _ = registered.set_port(own.port());
    }
    registered == *own
}

/// Parses `client_secret_expires_at`: seconds since 1970; 0, null and any other value mean "never".
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
        let received = Response::new(status, HeaderMap::new(), body.to_string());
        let redirect_uri = "http://127.0.0.1:5000/callback".parse().unwrap();
        response(
            &received,
            Some(&redirect_uri),
            SystemTime::UNIX_EPOCH + Duration::from_secs(1000),
        )
    }

    #[test]
    fn a_usable_response_with_irregular_members_is_accepted() {
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
    fn an_unusable_response_is_refused_before_the_browser_opens() {
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
    fn the_start_of_a_text_body_is_shown_but_not_a_web_page() {
        let refused = |kind: &str, body: &[u8]| {
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]);
            let received = Response::new(StatusCode::FORBIDDEN, headers, body.to_vec());
            let refusal = response(&received, None, SystemTime::UNIX_EPOCH).unwrap_err();
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
    fn a_refusal_keeps_the_error_of_the_server() {
        let body = json!({"error": "invalid_redirect_uri", "error_description": "only https"});
        let error = read(400, &body).unwrap_err().to_string();
        assert!(
            error.contains("400")
                && error.contains("invalid_redirect_uri")
                && error.contains("only https")
        );
    }
}
