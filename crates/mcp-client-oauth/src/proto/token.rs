//! Requests to the token endpoint and their responses (RFC 6749 §4.1.3, §5, §6; RFC 8707 §2.2).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use mcp_oauth_support::{Secret, UntrustedText};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::form_urlencoded;
use zeroize::Zeroizing;

pub use super::access_token::{AccessToken, AuthScheme};
use super::{
    access_token::LONGEST_TOKEN, authorization::AuthorizationCode, client_auth::ClientAuth,
    dpop::USE_NONCE, endpoint::EndpointUrl, oauth_error::OAuthErrorResponse,
    resource_metadata::Resource, revocation::TokenTypeHint, scope::Scope, serde_lenient,
    unix_seconds,
};
use crate::platform::{AddressSpace, Request, Response};

/// The longest lifetime that is accepted; a larger `expires_in` is cut to it.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// The longest `Retry-After` that is followed (RFC 9110 §10.2.3).
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// The tokens of one login.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TokenSet {
    /// The access token, which is sent with requests.
    pub access_token: AccessToken,
    /// The refresh token, for the next access token.
    pub refresh_token: Option<Secret<String>>,
    /// The time at which these tokens were issued.
    #[serde(with = "unix_seconds")]
    pub issued_at: SystemTime,
    /// The time at which the access token expires; none if the server did not send one.
    #[serde(with = "unix_seconds::optional")]
    pub expires_at: Option<SystemTime>,
    /// The scope that was granted; none if it is not known.
    pub scope: Option<Scope>,
}

impl TokenSet {
    /// Creates a token set from an access token alone, without expiry, refresh token and scope.
    pub fn new(access_token: AccessToken, issued_at: SystemTime) -> Self {
        Self {
            access_token,
            refresh_token: None,
            issued_at,
            expires_at: None,
            scope: None,
        }
    }

    /// Returns whether the access token is expired at `now`, or will be within `skew`.
    #[cfg(test)]
    pub(crate) fn is_expired(&self, now: SystemTime, skew: Duration) -> bool {
        self.expires_at
            .is_some_and(|at| now.checked_add(skew).is_none_or(|soon| soon >= at))
    }

    /// Returns the value of the `Authorization` header, marked sensitive.
    pub(crate) fn authorization_header(&self) -> HeaderValue {
        self.access_token.header()
    }

    /// Returns the lifetime of the access token, as the server sent it.
    pub(crate) fn lifetime(&self) -> Option<Duration> {
        self.expires_at
            .map(|at| at.duration_since(self.issued_at).unwrap_or_default())
    }
}

/// Says why the token endpoint issued no tokens that can be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// RFC 6749 §5.2.
    #[error("{}", refused(*.status, .error))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error of the server.
        error: OAuthErrorResponse,
    },
    /// The server is overloaded or has failed: a retry may succeed.
    #[error("the server is unavailable (HTTP {status})")]
    Unavailable {
        /// The HTTP status.
        status: u16,
        /// The wait that the server requested, at most a minute.
        retry_after: Option<Duration>,
    },
    /// RFC 9449 §5: a proof was sent, and the token is not bound to its key. It is refused, because
    /// anyone who steals it could use it.
    #[error("the server issued a bearer token where a DPoP-bound token was requested")]
    TokenTypeDowngrade,
    /// OpenID Connect Core §3.1.3.7 (rule 11): the ID token has another `nonce` than the one that
    /// was sent, so the response belongs to another login. Its tokens are not kept.
    #[error("the ID token in the response belongs to another login (its nonce differs)")]
    NonceMismatch,
    /// Neither tokens nor an error.
    #[error("not a token response (HTTP {status}): {reason}")]
    Malformed {
        /// The HTTP status.
        status: u16,
        /// The reason.
        reason: UntrustedText,
    },
}

fn refused(status: u16, error: &OAuthErrorResponse) -> String {
    if error.is_assumed {
        let code = &error.code;
        return format!(
            "the server responded with HTTP {status} and an empty body, which is treated as `{code}`"
        );
    }
    format!("the server responded with {error} (HTTP {status})")
}

impl TokenError {
    /// Returns whether the error code of the server is `code`.
    pub fn has_code(&self, code: &str) -> bool {
        matches!(self, Self::Refused { error, .. } if error.has_code(code))
    }

    /// Returns whether the client itself was refused: `invalid_client` (RFC 6749 §5.2), or HTTP 401
    /// with `unauthorized_client`, which the Python MCP SDK 1.23 sends instead.
    pub(crate) fn refuses_client(&self) -> bool {
        match self {
            Self::Refused { status, error } => {
                error.has_code("invalid_client")
                    || (*status == 401 && error.has_code("unauthorized_client"))
            }
            _ => false,
        }
    }

    /// Returns whether the endpoint no longer exists, so that the discovery is out of date.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Malformed {
                status: 404 | 405 | 410,
                ..
            }
        )
    }

    /// Returns whether the refusal is final, so that a retry cannot succeed (RFC 6749 §5.2).
    pub(crate) fn is_definitive(&self) -> bool {
        match self {
            Self::Refused { error, .. } => {
                // A proof is refused because of the clock or a nonce, not because of the token.
                let transient = [
                    "temporarily_unavailable",
                    "server_error",
                    "invalid_dpop_proof",
                    USE_NONCE,
                ];
                !transient.iter().any(|code| error.has_code(code))
            }
            Self::Malformed { .. } => self.is_gone(),
            Self::Unavailable { .. } | Self::TokenTypeDowngrade | Self::NonceMismatch => false,
        }
    }
}

/// Returns the request that exchanges a code for tokens (RFC 6749 §4.1.3).
pub(crate) fn code_request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    code: &AuthorizationCode,
) -> Request {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", code.code.expose().as_str()),
        ("redirect_uri", code.redirect_uri.as_str()),
        ("code_verifier", code.verifier.expose()),
    ];
    fields.extend(resource.map(|resource| ("resource", resource.as_str())));
    client.build_form_request(endpoint, address_space, &fields)
}

/// Returns the request that exchanges a refresh token for tokens. It has `resource` too (RFC 8707 §2.2),
/// and the `scope` where a server requires it, which is then no more than was granted (RFC 6749 §6).
pub(crate) fn refresh_request(
    endpoint: &EndpointUrl,
    address_space: AddressSpace,
    client: &ClientAuth<'_>,
    resource: Option<&Resource>,
    scope: Option<&Scope>,
    refresh_token: &Secret<String>,
) -> Request {
    let scope = scope.map(ToString::to_string);
    let mut fields = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.expose().as_str()),
    ];
    fields.extend(resource.map(|resource| ("resource", resource.as_str())));
    fields.extend(scope.as_deref().map(|scope| ("scope", scope)));
    client.build_form_request(endpoint, address_space, &fields)
}

/// Converts a form-encoded response to JSON, for servers that are known to send one
/// ([`Quirks::form_encoded_responses`](crate::flow::Quirks)). A duplicate member stays duplicate, so that
/// the response is refused.
pub(crate) fn form_to_json(mut response: Response) -> Response {
    if !is_form(&response) {
        return response;
    }
    // Capacity for the worst case of escaping: no reallocation leaves a copy in memory.
    let capacity = 6 * response.body.len() + 2;
    let mut json = Zeroizing::new(Vec::with_capacity(capacity));
    for (name, value) in form_urlencoded::parse(&response.body) {
        let before = if json.is_empty() { b'{' } else { b',' };
        json.push(before);
        // Writing a text into memory does not fail.
        let _ = serde_json::to_writer(&mut *json, &name);
        json.push(b':');
        let _ = serde_json::to_writer(&mut *json, &value);
    }
    json.push(b'}');
    response.body = Bytes::from_owner(json);
    let json_type = HeaderValue::from_static("application/json");
    response.headers.insert(header::CONTENT_TYPE, json_type);
    response
}

fn is_form(response: &Response) -> bool {
    let content_type = response.header(header::CONTENT_TYPE).unwrap_or_default();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") && !response.body.is_empty()
}

/// Does the same as [`response_of`] for a server without exceptions.
#[cfg(any(test, fuzzing))]
pub(crate) fn response(
    response: &Response,
    now: SystemTime,
    secrets: &[&str],
    scheme: AuthScheme,
) -> Result<TokenSet, TokenError> {
    response_of(response, now, secrets, scheme, TokenTypes::default())
}

/// Holds the exceptions for the `token_type` of one server; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TokenTypes {
    /// A response without `token_type` has a bearer token.
    pub(crate) missing_is_bearer: bool,
    /// Another `token_type` of a bearer token.
    pub(crate) bearer_alias: Option<&'static str>,
}

impl TokenTypes {
    fn scheme_of(self, token_type: Option<&str>) -> Option<AuthScheme> {
        match token_type.map(str::trim) {
            None => self.missing_is_bearer.then_some(AuthScheme::Bearer),
            Some(name) if self.bearer_alias == Some(name) => Some(AuthScheme::Bearer),
            Some(name) => name.parse().ok(),
        }
    }
}

/// Parses the response to a token request that was sent at `now`, with the exceptions for its `token_type`.
///
/// `secrets` are those of the request: they are redacted in the error of the server. `scheme` is the
/// requested one: a token that is bound to a key if the request carried a proof (RFC 9449 §5).
pub(crate) fn response_of(
    response: &Response,
    now: SystemTime,
    secrets: &[&str],
    scheme: AuthScheme,
    types: TokenTypes,
) -> Result<TokenSet, TokenError> {
    if let Some(refusal) = refusal(response, secrets) {
        return Err(refusal);
    }
    let malformed = |reason: &str| TokenError::Malformed {
        status: response.status.as_u16(),
        reason: UntrustedText::new(reason),
    };
    if is_form(response) {
        return Err(malformed("it is a form, and not JSON"));
    }
    let wire: Wire = serde_json::from_slice(&response.body)
        .map_err(|error| malformed(&serde_lenient::shape(&error)))?;
    if wire.access_token.is_none() {
        return Err(malformed("it has no access_token"));
    }
    let given = types.scheme_of(wire.token_type.as_deref());
    if scheme == AuthScheme::DPoP && given == Some(AuthScheme::Bearer) {
        return Err(TokenError::TokenTypeDowngrade);
    }
    let unused = "the tokens that the server issued are not used";
    if given.is_none() && wire.token_type.is_none() {
        return Err(malformed(&format!("it has no token_type; {unused}")));
    }
    if given != Some(scheme) {
        return Err(malformed(&format!(
            "its token_type is not {scheme}; {unused}"
        )));
    }
    let tokens = wire.into_tokens(now, scheme);
    tokens.map_err(|reason| malformed(&format!("{reason}; {unused}")))
}

/// Returns the tokens of a response that cannot be used, so that they can be revoked: the server has
/// issued them, although this client does not accept them.
pub(crate) fn issued(response: &Response) -> Vec<(Secret<String>, TokenTypeHint)> {
    #[derive(Deserialize)]
    struct Issued {
        #[serde(default, deserialize_with = "serde_lenient::optional")]
        access_token: Option<Secret<String>>,
        #[serde(default, deserialize_with = "serde_lenient::optional")]
        refresh_token: Option<Secret<String>>,
    }
    let issued: Option<Issued> = serde_json::from_slice(&response.body).ok();
    let issued = issued.filter(|_| response.status.is_success());
    let both = issued.into_iter().flat_map(|issued| {
        [
            (issued.refresh_token, TokenTypeHint::Refresh),
            (issued.access_token, TokenTypeHint::Access),
        ]
    });
    both.filter_map(|(token, kind)| Some((token?, kind)))
        .filter(|(token, _)| (1..=LONGEST_TOKEN).contains(&token.expose().len()))
        .collect()
}

/// Returns the refusal in a response, if it is one.
pub(crate) fn refusal(response: &Response, secrets: &[&str]) -> Option<TokenError> {
    let status = response.status.as_u16();
    // Some servers refuse with HTTP 200, although RFC 6749 §5.2 requires 400.
    if let Some(error) = OAuthErrorResponse::parse(&response.body)
        && status < 500
        && status != 429
    {
        return Some(TokenError::Refused {
            status,
            error: error.redact(secrets),
        });
    }
    if status == 429 || status == 408 || response.status.is_server_error() {
        return Some(TokenError::Unavailable {
            status,
            retry_after: retry_after(&response.headers),
        });
    }
    (!response.status.is_success()).then(|| bare_refusal(status, &response.body))
}

/// Returns the error for a 4xx without an OAuth error. Some servers refuse a used refresh token with an
/// empty body, which is final; the page of a proxy in between is not.
fn bare_refusal(status: u16, body: &[u8]) -> TokenError {
    match status {
        400 if body.is_empty() => TokenError::Refused {
            status,
            error: OAuthErrorResponse::assumed("invalid_grant"),
        },
        401 if body.is_empty() => TokenError::Refused {
            status,
            error: OAuthErrorResponse::assumed("invalid_client"),
        },
        _ => TokenError::Malformed {
            status,
            reason: UntrustedText::new("neither tokens nor an OAuth error"),
        },
    }
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    access_token: Option<Secret<String>>,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Option<Box<RawValue>>,
    #[serde(default)]
    refresh_token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    scope: Option<String>,
}

impl Wire {
    fn into_tokens(self, now: SystemTime, scheme: AuthScheme) -> Result<TokenSet, &'static str> {
        let access_token = self.access_token.ok_or("it has no access_token")?;
        let access_token = AccessToken::of(scheme, access_token.expose())
            .ok_or("its access token is empty, too long, or cannot go into a header")?;
        let refresh_token = self
            .refresh_token
            .filter(|token| !token.expose().is_empty());
        if refresh_token
            .as_ref()
            .is_some_and(|token| token.expose().len() > LONGEST_TOKEN)
        {
            return Err("its refresh token is too long");
        }
        let life = self.expires_in.as_deref().and_then(lifetime);
        Ok(TokenSet {
            access_token,
            refresh_token,
            issued_at: now,
            expires_at: life.and_then(|life| now.checked_add(life)),
            scope: self.scope.and_then(|scope| scope.parse().ok()),
        })
    }
}

/// Parses `expires_in` (RFC 6749 §5.1): a number or a text of one, rounded down; negative is zero, too
/// large is ten years, even where it overflows the number type, and any other value counts as absent.
pub(super) fn lifetime(value: &RawValue) -> Option<Duration> {
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let seconds: f64 = text.as_deref().unwrap_or(value.get()).trim().parse().ok()?;
    if seconds.is_nan() {
        return None;
    }
    Some(
        Duration::try_from_secs_f64(seconds.floor().max(0.0))
            .unwrap_or(LONGEST_LIFE)
            .min(LONGEST_LIFE),
    )
}

/// Parses `Retry-After` in seconds (RFC 9110 §10.2.3). A date is ignored: it depends on the clock of the
/// server.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if seconds.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds = seconds.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
    }

    fn read(status: u16, body: &str) -> Result<TokenSet, TokenError> {
        let received = Response::new(
            StatusCode::from_u16(status).unwrap(),
            HeaderMap::new(),
            body.to_owned(),
        );
        response(&received, now(), &[], AuthScheme::Bearer)
    }

    fn with(member: &str, value: Value) -> Result<TokenSet, TokenError> {
        let mut body = json!({"access_token": "at", "token_type": "Bearer"});
        body[member] = value;
        read(200, &body.to_string())
    }

    #[test]
    fn expires_in_may_be_a_number_or_a_text_and_is_bounded() {
        let ten_years = LONGEST_LIFE.as_secs();
        for (value, expected) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(3600.9), Some(3600)),
            (json!(-1), Some(0)),
            (json!(0), Some(0)),
            (json!(1e30), Some(ten_years)),
            (json!(9_223_372_036_854_775_808_u64), Some(ten_years)),
            (json!("abc"), None),
            (json!("NaN"), None),
            (json!(null), None),
            (json!(true), None),
        ] {
            let tokens = with("expires_in", value.clone()).unwrap();
            assert_eq!(
                tokens.lifetime().map(|life| life.as_secs()),
                expected,
                "{value}"
            );
        }
        let endless = r#"{"access_token":"a","token_type":"Bearer","expires_in":1e400}"#;
        let life = read(200, endless).unwrap().lifetime();
        assert_eq!(life, Some(LONGEST_LIFE));
    }

    #[test]
    fn only_a_bearer_token_that_is_valid_in_a_header_is_accepted() {
        for token_type in ["Bearer", "bearer", "BEARER", "Bearer "] {
            let tokens = with("token_type", token_type.into()).unwrap();
            assert_eq!(tokens.authorization_header(), "Bearer at");
        }
        for token_type in [json!("mac"), json!("DPoP"), json!(null), json!(7)] {
            assert!(with("token_type", token_type).is_err());
        }
        for token in [
            json!(""),
            json!(null),
            json!(7),
            json!([]),
            json!("a\r\nX-Evil: 1"),
            json!("a\u{0}"),
            json!("é"),
            json!("a b"),
            json!("x".repeat(LONGEST_TOKEN + 1)),
        ] {
            let error = with("access_token", token.clone()).unwrap_err();
            assert!(matches!(error, TokenError::Malformed { .. }), "{token}");
        }
    }

    /// The response of `@openauthjs/openauth` 0.4.3 (`dist/esm/issuer.js`, `/token`).
    const OPENAUTH: &str =
        r#"{"access_token":"e30.e30.c2ln","expires_in":2592000,"refresh_token":"user:1f2e:8c1d"}"#;

    fn read_as(body: &str, scheme: AuthScheme, types: TokenTypes) -> Result<TokenSet, TokenError> {
        let received = Response::new(StatusCode::OK, HeaderMap::new(), body.to_owned());
        response_of(&received, now(), &[], scheme, types)
    }

    #[test]
    fn a_missing_token_type_is_named_and_means_bearer_only_where_configured() {
        let error = read(200, OPENAUTH).unwrap_err().to_string();
        assert!(error.contains("it has no token_type"), "{error}");
        assert!(error.contains("issued are not used"), "{error}");
        let assumed = TokenTypes {
            missing_is_bearer: true,
            ..TokenTypes::default()
        };
        let tokens = read_as(OPENAUTH, AuthScheme::Bearer, assumed).unwrap();
        assert_eq!(tokens.authorization_header(), "Bearer e30.e30.c2ln");
        assert!(tokens.refresh_token.is_some());
        // RFC 9449 §5: a proof was sent, and no `token_type` shows that the token is bound to its key.
        let downgraded = read_as(OPENAUTH, AuthScheme::DPoP, assumed);
        assert_eq!(downgraded.unwrap_err(), TokenError::TokenTypeDowngrade);
        let other = r#"{"access_token":"a","token_type":"mac"}"#;
        assert!(read_as(other, AuthScheme::Bearer, assumed).is_err());
        let nested = r#"{"ok":true,"authed_user":{"access_token":"xoxp-1","token_type":"user"}}"#;
        let error = read(200, nested).unwrap_err().to_string();
        assert!(error.ends_with("it has no access_token"), "{error}");
    }

    #[test]
    fn an_alias_of_bearer_is_accepted_only_where_it_is_configured() {
        let slack = r#"{"ok":true,"access_token":"xoxp-1","token_type":"user"}"#;
        let error = read(200, slack).unwrap_err().to_string();
        assert!(error.contains("token_type is not Bearer"), "{error}");
        let known = TokenTypes {
            bearer_alias: Some("user"),
            ..TokenTypes::default()
        };
        let tokens = read_as(slack, AuthScheme::Bearer, known).unwrap();
        assert_eq!(tokens.authorization_header(), "Bearer xoxp-1");
        let downgraded = read_as(slack, AuthScheme::DPoP, known);
        assert_eq!(downgraded.unwrap_err(), TokenError::TokenTypeDowngrade);
    }

    #[test]
    fn tokens_of_an_unusable_response_can_be_revoked() {
        let issued = |body: &str| {
            let received = Response::new(StatusCode::OK, HeaderMap::new(), body.to_owned());
            let both = issued(&received);
            both.iter()
                .map(|(token, kind)| (token.expose().clone(), *kind))
                .collect::<Vec<_>>()
        };
        let both = [
            ("user:1f2e:8c1d".to_owned(), TokenTypeHint::Refresh),
            ("e30.e30.c2ln".to_owned(), TokenTypeHint::Access),
        ];
        assert_eq!(issued(OPENAUTH), both);
        for nothing in ["", "[]", "{}", r#"{"access_token":7,"refresh_token":""}"#] {
            assert_eq!(issued(nothing), [], "{nothing}");
        }
    }

    #[test]
    fn a_bearer_token_is_refused_where_a_bound_one_was_requested() {
        let read = |token_type: &str| {
            let body = json!({"access_token": "at", "token_type": token_type}).to_string();
            let received = Response::new(StatusCode::OK, HeaderMap::new(), body);
            response(&received, now(), &[], AuthScheme::DPoP)
        };
        for token_type in ["DPoP", "dpop", "DPOP "] {
            let tokens = read(token_type).unwrap();
            assert_eq!(tokens.authorization_header(), "DPoP at");
        }
        for token_type in ["Bearer", "bearer "] {
            assert_eq!(
                read(token_type).unwrap_err(),
                TokenError::TokenTypeDowngrade
            );
        }
        assert!(matches!(read("mac"), Err(TokenError::Malformed { .. })));
    }

    #[test]
    fn an_error_response_is_an_error_with_any_status() {
        let no = r#"{"error":"invalid_grant","error_description":"spent"}"#;
        for status in [200, 400, 401] {
            assert!(read(status, no).unwrap_err().is_definitive(), "{status}");
        }
        for (status, body) in [(500, no), (502, "<html>"), (503, ""), (429, no)] {
            assert!(
                matches!(read(status, body), Err(TokenError::Unavailable { .. })),
                "{status}"
            );
        }
        for status in [400, 401] {
            let empty = read(status, "").unwrap_err();
            assert!(empty.is_definitive(), "{status}");
            let expected = format!("the server responded with HTTP {status} and an empty body");
            assert!(empty.to_string().starts_with(&expected), "{empty}");
            assert!(
                !read(status, "<html>").unwrap_err().is_definitive(),
                "{status}"
            );
        }
        for (status, body) in [
            (200, "<html>"),
            (200, ""),
            (200, "access_token=a&token_type=bearer"),
            (404, "x"),
            (302, ""),
        ] {
            assert!(
                matches!(read(status, body), Err(TokenError::Malformed { .. })),
                "{status} {body}"
            );
        }
    }

    fn form(body: &'static str) -> Response {
        let form_type = "application/x-www-form-urlencoded; charset=utf-8";
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form_type.parse().unwrap())]);
        Response::new(StatusCode::OK, headers, body)
    }

    #[test]
    fn a_form_encoded_response_is_read_only_where_it_is_configured() {
        let body = "access_token=a%22t&token_type=bearer&scope=a+b&expires_in=60";
        let refused = response(&form(body), now(), &[], AuthScheme::Bearer).unwrap_err();
        assert!(refused.to_string().ends_with("it is a form, and not JSON"));
        let read = |received| response(&form_to_json(received), now(), &[], AuthScheme::Bearer);
        let tokens = read(form(body)).unwrap();
        assert_eq!(tokens.access_token.expose(), "a\"t");
        assert_eq!(tokens.scope.unwrap().to_string(), "a b");
        assert_eq!(tokens.expires_at, Some(now() + Duration::from_secs(60)));
        let refused = read(form("error=bad_verification_code&error_description=x")).unwrap_err();
        assert!(refused.has_code("bad_verification_code"));
        for twice in ["access_token=a&access_token=b&token_type=bearer", "x", ""] {
            assert!(read(form(twice)).is_err(), "{twice}");
        }
    }

    #[test]
    fn a_malformed_response_is_not_quoted() {
        let error = read(200, r#"{"access_token":"planted-token","token_type":5}"#).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("planted"));
    }

    #[test]
    fn retry_after_is_at_most_a_minute() {
        let headers =
            |value: &str| HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
        for (value, expected) in [
            ("5", Some(5)),
            ("1000000000000000000000", Some(60)),
            ("1e9", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
            ("-1", None),
        ] {
            assert_eq!(
                retry_after(&headers(value)).map(|wait| wait.as_secs()),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn tokens_survive_json_and_are_not_printed() {
        let mut tokens = with("expires_in", json!(60)).unwrap();
        tokens.refresh_token = Some(Secret::new("planted-refresh".to_owned()));
        let text = serde_json::to_string(&tokens).unwrap();
        assert_eq!(serde_json::from_str::<TokenSet>(&text).unwrap(), tokens);
        assert!(!format!("{tokens:?}").contains("planted"));
        assert!(!tokens.is_expired(now(), Duration::from_secs(59)));
        assert!(tokens.is_expired(now(), Duration::from_secs(60)));
    }
}
