//! The device authorization grant (RFC 8628): a code that the user enters on another device, and the
//! polls of the token endpoint meanwhile.

use std::{fmt, time::Duration};

use mcp_oauth_support::{Secret, UntrustedText};
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{
    access_token::LONGEST_TOKEN,
    client_auth::ClientAuth,
    endpoint::EndpointUrl,
    oauth_error::OAuthErrorResponse,
    resource_metadata::Resource,
    scope::Scope,
    serde_lenient,
    server_metadata::{Issuer, ServerMetadata},
    token::{self, TokenError, TokenSet},
};
use crate::platform::{AddressSpace, Request, Response, UrlPolicyError};

/// The `grant_type` of the token request (RFC 8628 §3.4), and of a client that is registered for it.
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The longest lifetime of a code, and the one where the server sends none (RFC 8628 §3.2).
pub(crate) const LONGEST_CODE_LIFE: Duration = Duration::from_secs(30 * 60);
/// The wait between two polls where the server sends none (RFC 8628 §3.2).
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);
/// The shortest wait between two polls, whatever the server sends (docs/hostile.md H176).
pub(crate) const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// The longest wait between two polls, whatever the server sends (docs/hostile.md H176, H177).
pub(crate) const LONGEST_INTERVAL: Duration = Duration::from_secs(60);
/// The time that each `slow_down` adds to the wait (RFC 8628 §3.5).
pub(crate) const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The most characters of a user code (RFC 8628 §6.1).
const LONGEST_USER_CODE: usize = 64;

/// A device authorization response (RFC 8628 §3.2), checked.
#[derive(Clone)]
#[non_exhaustive]
#[expect(clippy::struct_field_names, reason = "the names of RFC 8628 §3.2")]
pub(crate) struct DeviceCode {
    /// The code for the token endpoint. It is sent to no other URL.
    pub device_code: Secret<String>,
    /// The code that the user enters.
    pub user_code: UserCode,
    /// The page where the user enters it.
    pub verification_uri: EndpointUrl,
    /// The same page with the code in its URL, for a link or a QR code.
    pub verification_uri_complete: Option<EndpointUrl>,
    /// The lifetime of the codes, at most [`LONGEST_CODE_LIFE`].
    pub expires_in: Duration,
    /// The wait between two polls, from [`SHORTEST_INTERVAL`] to [`LONGEST_INTERVAL`].
    pub interval: Duration,
}

impl DeviceCode {
    /// Returns whether the page is at another host than `issuer`. The host may belong to the same company,
    /// or to an attacker who tricks the user into confirming a code of another server (RFC 8628 §5.4), so
    /// the user must see its name.
    pub(crate) fn is_third_party_host(&self, issuer: &Issuer) -> bool {
        let Ok(issuer) = Url::parse(issuer.as_str()) else {
            return true;
        };
        let mut pages = [
            Some(&self.verification_uri),
            self.verification_uri_complete.as_ref(),
        ]
        .into_iter()
        .flatten();
        pages.any(|page| page.as_url().host() != issuer.host())
    }
}

impl fmt::Debug for DeviceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The complete URI has the code in it.
        f.debug_struct("DeviceCode")
            .field("verification_uri", &self.verification_uri)
            .field("expires_in", &self.expires_in)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// The code that the user enters: up to 64 characters. `Display` escapes all but visible ASCII, so that
/// nothing in it moves the cursor, changes the text direction or looks like another letter (CWE-150).
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct UserCode(String);

impl UserCode {
    fn new(text: String) -> Option<Self> {
        let fits = !text.trim().is_empty() && text.chars().count() <= LONGEST_USER_CODE;
        fits.then_some(Self(text))
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_ascii_graphic() || c == ' ' {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_unicode())?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode([redacted])")
    }
}

/// Says why a device authorization response cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceResponseError {
    /// RFC 8628 §3.2: refused as at the token endpoint, or by an HTTP status alone.
    #[error("the server refused to issue a device code (HTTP {status}{})", detail(.error.as_ref()))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error of the server.
        error: Option<OAuthErrorResponse>,
    },
    /// The response cannot be used.
    #[error("the response has no usable code: {0}")]
    Unusable(UntrustedText),
    /// The address policy forbids the URL of the page (RFC 8628 §5.4).
    #[error("its `{member}` cannot be used: {cause}")]
    UnsafeUri {
        /// The member of the response.
        member: &'static str,
        /// The reason.
        #[source]
        cause: UrlPolicyError,
    },
}

impl DeviceResponseError {
    /// Returns whether the error code of the server is `code`.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused { error: Some(error), .. } if error.has_code(code))
    }

    /// Returns whether the endpoint no longer exists, so that the discovery is out of date.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                status: 404 | 405 | 410,
                error: None
            }
        )
    }
}

fn detail(error: Option<&OAuthErrorResponse>) -> String {
    error.map(|error| format!(", {error}")).unwrap_or_default()
}

/// Returns the request for a code (RFC 8628 §3.1), with the resource as in every authorization request
/// (RFC 8707 §2.1).
pub(crate) fn request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    scope: Option<&Scope>,
) -> Request {
    let scope = scope.map(ToString::to_string);
    let mut fields = Vec::new();
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    fields.extend(resource.map(|resource| ("resource", resource.as_str())));
    client.build_form_request(endpoint, address_space, &fields)
}

/// Parses the response of `endpoint`. Its URLs must not lead to a more private address space than
/// `address_space`.
///
/// `secrets` are those of the request: they are redacted in the error of the server.
pub(crate) fn response(
    response: &Response,
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    secrets: &[&str],
) -> Result<DeviceCode, DeviceResponseError> {
    let error = OAuthErrorResponse::parse(&response.body).map(|error| error.redact(secrets));
    if error.is_some() || !response.status.is_success() {
        let status = response.status.as_u16();
        return Err(DeviceResponseError::Refused { status, error });
    }
    let wire: Wire = serde_json::from_slice(&response.body)
        .map_err(|error| unusable(&serde_lenient::shape(&error)))?;
    wire.into_code(endpoint, address_space)
}

#[derive(Deserialize)]
struct Wire {
    device_code: Secret<String>,
    user_code: String,
    verification_uri: String,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    verification_uri_complete: Option<String>,
    #[serde(default)]
    expires_in: Option<Box<RawValue>>,
    #[serde(default)]
    interval: Option<Box<RawValue>>,
}

impl Wire {
    fn into_code(
        self,
        endpoint: &EndpointUrl,
        address_space: AddressSpace,
    ) -> Result<DeviceCode, DeviceResponseError> {
        if !(1..=LONGEST_TOKEN).contains(&self.device_code.expose().len()) {
            return Err(unusable("its device code is empty or too long"));
        }
        let user_code = UserCode::new(self.user_code)
            .ok_or_else(|| unusable("its user code is empty or longer than 64 characters"))?;
        let page = |member: &'static str, text: &str| {
            EndpointUrl::parse_page(text, address_space, endpoint.as_url())
                .map_err(|cause| DeviceResponseError::UnsafeUri { member, cause })
        };
        let complete = self.verification_uri_complete.as_deref();
        Ok(DeviceCode {
            device_code: self.device_code,
            user_code,
            verification_uri: page("verification_uri", &self.verification_uri)?,
            verification_uri_complete: complete
                .map(|text| page("verification_uri_complete", text))
                .transpose()?,
            expires_in: seconds(self.expires_in.as_deref())
                .unwrap_or(LONGEST_CODE_LIFE)
                .min(LONGEST_CODE_LIFE),
            interval: seconds(self.interval.as_deref())
                .unwrap_or(INTERVAL)
                .clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL),
        })
    }
}

fn seconds(value: Option<&RawValue>) -> Option<Duration> {
    value.and_then(token::lifetime)
}

fn unusable(reason: &str) -> DeviceResponseError {
    DeviceResponseError::Unusable(UntrustedText::new(reason))
}

/// Returns the request that polls for the decision of the user (RFC 8628 §3.4).
pub(crate) fn poll_request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    device_code: &Secret<String>,
) -> Request {
    let mut fields = vec![
        ("grant_type", GRANT_TYPE),
        ("device_code", device_code.expose().as_str()),
    ];
    fields.extend(resource.map(|resource| ("resource", resource.as_str())));
    client.build_form_request(endpoint, address_space, &fields)
}

/// The response of the token endpoint to a poll (RFC 8628 §3.5).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum DevicePollResult {
    /// The user has approved.
    Tokens(TokenSet),
    /// The user has not decided yet.
    Pending,
    /// The same, and all later waits are [`SLOW_DOWN`] longer; the next one is at least as long as this.
    /// Some servers send HTTP 429 instead.
    SlowDown(Option<Duration>),
    /// The server is unavailable: poll again after this wait or a longer one.
    Unavailable(Option<Duration>),
    /// The user has denied.
    Denied(OAuthErrorResponse),
    /// The code has expired.
    Expired,
}

impl DevicePollResult {
    /// Classifies the result of [`token::response_of`].
    ///
    /// # Errors
    /// Every other refusal, and a malformed response: another poll cannot succeed.
    pub(crate) fn read(outcome: Result<TokenSet, TokenError>) -> Result<Self, TokenError> {
        let cause = match outcome {
            Ok(tokens) => return Ok(Self::Tokens(tokens)),
            Err(cause) => cause,
        };
        match &cause {
            TokenError::Refused { error, .. } => match error.code.as_raw() {
                "authorization_pending" => Ok(Self::Pending),
                "slow_down" => Ok(Self::SlowDown(None)),
                "access_denied" => Ok(Self::Denied(error.clone())),
                "expired_token" => Ok(Self::Expired),
                _ if cause.is_definitive() => Err(cause),
                _ => Ok(Self::Unavailable(None)),
            },
            TokenError::Unavailable {
                status: 429,
                retry_after,
            } => Ok(Self::SlowDown(*retry_after)),
            TokenError::Unavailable { retry_after, .. } => Ok(Self::Unavailable(*retry_after)),
            TokenError::TokenTypeDowngrade
            | TokenError::NonceMismatch
            | TokenError::Malformed { .. } => Err(cause),
        }
    }
}

impl ServerMetadata {
    /// Returns whether the server lists the device grant and has no endpoint for it (RFC 8628 §4).
    pub(crate) fn lacks_device_endpoint(&self) -> bool {
        let listed = self.grant_types_supported.as_ref();
        let is_listed = listed.is_some_and(|listed| listed.iter().any(|name| name == GRANT_TYPE));
        is_listed && self.device_authorization_endpoint.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::proto::token::AuthScheme;

    fn document() -> Value {
        json!({
            "device_code": "planted-device-code",
            "user_code": "WDJB-MJHT",
            "verification_uri": "https://as.example/device",
            "expires_in": 900,
        })
    }

    fn read(status: u16, body: &str) -> Result<DeviceCode, DeviceResponseError> {
        let status = StatusCode::from_u16(status).unwrap();
        let received = Response::new(status, HeaderMap::new(), body.to_owned());
        let at = "https://as.example/device_authorization";
        let at = EndpointUrl::parse(at, AddressSpace::Public).unwrap();
        response(&received, &at, AddressSpace::Public, &["planted-secret"])
    }

    fn with(member: &str, value: Value) -> Result<DeviceCode, DeviceResponseError> {
        let mut document = document();
        document[member] = value;
        read(200, &document.to_string())
    }

    fn without(member: &str) -> Result<DeviceCode, DeviceResponseError> {
        let mut document = document();
        document.as_object_mut().unwrap().remove(member);
        read(200, &document.to_string())
    }

    #[test]
    fn an_interval_is_between_a_second_and_a_minute() {
        for (value, expected) in [
            (json!(0), 1),
            (json!(-1), 1),
            (json!(1), 1),
            (json!("5"), 5),
            (json!(7.9), 7),
            (json!(60), 60),
            (json!(1e9), 60),
            (json!(u64::MAX), 60),
            (json!(null), 5),
            (json!("soon"), 5),
            (json!(true), 5),
            (json!([3]), 5),
        ] {
            let interval = with("interval", value.clone()).unwrap().interval;
            assert_eq!(interval.as_secs(), expected, "{value}");
        }
        assert_eq!(without("interval").unwrap().interval, INTERVAL);
    }

    #[test]
    fn a_code_lives_for_half_an_hour_at_most() {
        for (value, expected) in [
            (json!(900), 900),
            (json!("600"), 600),
            (json!(1800), 1800),
            (json!(1801), 1800),
            (json!(1e18), 1800),
            (json!(-1), 0),
            (json!("soon"), 1800),
            (json!(null), 1800),
        ] {
            let life = with("expires_in", value.clone()).unwrap().expires_in;
            assert_eq!(life.as_secs(), expected, "{value}");
        }
        assert_eq!(without("expires_in").unwrap().expires_in, LONGEST_CODE_LIFE);
    }

    #[test]
    fn the_verification_page_is_https_in_the_public_address_space() {
        for member in ["verification_uri", "verification_uri_complete"] {
            for bad in [
                "http://as.example/device",
                "http://127.0.0.1/device",
                "javascript:alert(1)",
                "JaVaScRiPt:alert(1)",
                "file:///etc/passwd",
                "https://as.example@evil.example/",
                "https://10.0.0.1/device",
                "https://as.example/\u{1b}[2J",
                "https://as.example/\nx",
                "/device",
                "",
            ] {
                let error = with(member, bad.into()).unwrap_err();
                assert!(
                    matches!(error, DeviceResponseError::UnsafeUri { .. }),
                    "{member} {bad}"
                );
            }
        }
        let sloppy = with("verification_uri_complete", json!(7)).unwrap();
        assert_eq!(sloppy.verification_uri_complete, None);
    }

    #[test]
    fn a_page_at_another_host_than_the_issuer_is_recognized() {
        let issuer = Issuer::from("https://as.example");
        assert!(
            !read(200, &document().to_string())
                .unwrap()
                .is_third_party_host(&issuer)
        );
        for member in ["verification_uri", "verification_uri_complete"] {
            for (page, is_other) in [
                ("https://as.example:8443/activate?user_code=x", false),
                ("https://AS.example/", false),
                ("https://as.example.evil.example/", true),
                ("https://login.as.example/", true),
                ("https://аs.example/", true),
            ] {
                let code = with(member, page.into()).unwrap();
                assert_eq!(code.is_third_party_host(&issuer), is_other, "{page}");
            }
        }
    }

    #[test]
    fn a_user_code_is_short_and_its_unusual_characters_are_escaped() {
        for bad in [
            String::new(),
            "  ".to_owned(),
            "x".repeat(65),
            "é".repeat(10_240),
        ] {
            assert!(with("user_code", bad.as_str().into()).is_err(), "{bad:.80}");
        }
        for (code, shown) in [
            ("WDJB-MJHT", "WDJB-MJHT"),
            ("1234 5678", "1234 5678"),
            ("A\u{202e}BC", "A\\u{202e}BC"),
            ("\u{1b}[2J\r\n", "\\u{1b}[2J\\u{d}\\u{a}"),
            ("АВС", "\\u{410}\\u{412}\\u{421}"),
        ] {
            let code = with("user_code", code.into()).unwrap().user_code;
            assert_eq!(code.to_string(), shown);
        }
        assert_eq!(
            with("user_code", "é".repeat(64).into())
                .unwrap()
                .user_code
                .to_string()
                .chars()
                .count(),
            64 * "\\u{e9}".len()
        );
    }

    #[test]
    fn a_response_without_codes_is_refused_and_not_quoted() {
        for member in ["device_code", "user_code", "verification_uri"] {
            for bad in [json!(null), json!(7), json!([])] {
                let error = with(member, bad).unwrap_err();
                assert!(!format!("{error} {error:?}").contains("planted"));
            }
            assert!(without(member).is_err(), "{member}");
        }
        for bad in [json!(""), json!("x".repeat(LONGEST_TOKEN + 1))] {
            assert!(with("device_code", bad).is_err());
        }
        let twice = r#"{"device_code":"a","device_code":"b","user_code":"c","verification_uri":"https://as.example/"}"#;
        for body in ["", "<html>", "null", "{}", twice] {
            let error = read(200, body).unwrap_err();
            assert!(matches!(error, DeviceResponseError::Unusable(_)), "{body}");
        }
    }

    #[test]
    fn a_refusal_keeps_the_error_of_the_server_with_the_secret_redacted() {
        let body = json!({"error": "invalid_client", "error_description": "no planted-secret"});
        for status in [200, 400, 401] {
            let error = read(status, &body.to_string()).unwrap_err();
            assert!(error.has_code("invalid_client"));
            assert!(error.to_string().ends_with("no [redacted])"), "{error}");
        }
        for status in [302, 404, 500] {
            let error = read(status, "<html>").unwrap_err();
            assert_eq!(error.is_gone(), status == 404);
        }
    }

    #[test]
    fn debug_shows_neither_the_device_code_nor_the_user_code() {
        let complete = "https://as.example/device?user_code=WDJB-MJHT";
        let code = with("verification_uri_complete", complete.into()).unwrap();
        let shown = format!("{code:?} {:?}", code.user_code);
        assert!(
            !shown.contains("planted") && !shown.contains("WDJB"),
            "{shown}"
        );
    }

    #[test]
    fn each_error_code_of_a_poll_has_its_result() {
        let poll = |status: u16, body: Value| {
            let status = StatusCode::from_u16(status).unwrap();
            let received = Response::new(status, HeaderMap::new(), body.to_string());
            DevicePollResult::read(token::response(
                &received,
                std::time::UNIX_EPOCH,
                &[],
                AuthScheme::Bearer,
            ))
        };
        let error = |code: &str| json!({ "error": code });
        for status in [200, 400, 401, 403] {
            let poll = |code| poll(status, error(code)).unwrap();
            assert_eq!(poll("authorization_pending"), DevicePollResult::Pending);
            assert_eq!(poll("slow_down"), DevicePollResult::SlowDown(None));
            assert_eq!(poll("expired_token"), DevicePollResult::Expired);
            assert_eq!(poll("server_error"), DevicePollResult::Unavailable(None));
            assert!(matches!(poll("access_denied"), DevicePollResult::Denied(_)));
        }
        let hurried = poll(429, error("slow_down")).unwrap();
        assert_eq!(hurried, DevicePollResult::SlowDown(None));
        for status in [500, 503] {
            let busy = poll(status, error("authorization_pending")).unwrap();
            assert_eq!(busy, DevicePollResult::Unavailable(None), "{status}");
        }
        for code in [
            "invalid_grant",
            "invalid_client",
            "unauthorized_client",
            "Slow_Down",
        ] {
            assert!(poll(400, error(code)).is_err(), "{code}");
        }
        assert!(poll(200, json!({})).is_err());
        assert!(poll(404, json!({})).is_err());
    }
}
