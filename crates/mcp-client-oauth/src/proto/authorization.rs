//! The authorization request and its response (RFC 6749 §4.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9207,
//! OpenID Connect Core §3.1.2.1).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    authorize_parameters::AuthorizeParameters,
    endpoint::EndpointUrl,
    id_token::Nonce,
    oauth_error::OAuthErrorResponse,
    pkce::{CodeVerifier, RandomError, random_text, sha256},
    resource_metadata::Resource,
    scope::Scope,
    server_metadata::{Issuer, ServerMetadata},
};

/// The longest authorization code that is accepted.
const LONGEST_CODE: usize = 4096;
/// 256 bits.
const STATE_BYTES: usize = 32;

/// The `state` that binds a callback to its request (RFC 6749 §10.12): 256 random bits. It is in memory only,
/// except in a login that ends in another request: there it is encrypted by the store.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct State(Secret<String>);

impl State {
    /// Generates a state.
    pub(crate) fn generate() -> Result<Self, RandomError> {
        random_text::<STATE_BYTES>().map(Self)
    }

    /// Returns the state in a callback; none if it has no state, or several.
    pub(crate) fn of_callback(callback: &Url) -> Option<Self> {
        only(callback, "state").map(|state| Self(Secret::new(state)))
    }

    /// Returns its hash, base64url(SHA-256(state)): a name for what belongs to it, which does not reveal it.
    pub(crate) fn hash(&self) -> String {
        sha256(self.expose())
    }

    /// Returns the text to send.
    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Holds the parameters of an authorization request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub(crate) struct AuthorizationRequest<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The redirect URI.
    pub redirect_uri: &'a Url,
    /// The resource that the token is for (RFC 8707); none only for a server that does not accept it.
    pub resource: Option<&'a Resource>,
    /// The requested scope.
    pub scope: Option<&'a Scope>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 §10).
    pub dpop_jkt: Option<&'a str>,
    /// The nonce that an ID token must repeat; for the scope `openid` alone.
    pub nonce: Option<&'a Nonce>,
    /// The extra parameters that this server requires.
    pub extra_params: Option<&'a AuthorizeParameters>,
    /// Other issuer names that are accepted in the response. RFC 9207 §2.4 allows none: they are
    /// [quirks](crate::flow::Quirks::issuers).
    pub other_issuers: &'a [Issuer],
}

impl<'a> AuthorizationRequest<'a> {
    /// Creates a request.
    pub(crate) fn new(
        client_id: &'a str,
        redirect_uri: &'a Url,
        resource: Option<&'a Resource>,
        scope: Option<&'a Scope>,
    ) -> Self {
        Self {
            client_id,
            redirect_uri,
            resource,
            scope,
            dpop_jkt: None,
            nonce: None,
            extra_params: None,
            other_issuers: &[],
        }
    }
}

/// A request that was sent to the browser. It is consumed when its callback is accepted.
///
/// It is written as JSON with its secrets: its store has to encrypt it, and to remove it before it
/// is accepted, so that it is accepted once.
#[derive(Debug, Deserialize, Serialize)]
#[expect(
    unnameable_types,
    reason = "callers pass it on to `accept`; one that waits for another request uses `Login::begin`"
)]
pub struct PendingAuthorization {
    state: State,
    verifier: CodeVerifier,
    nonce: Option<Nonce>,
    redirect_uri: Url,
    issuer: Issuer,
    other_issuers: Vec<Issuer>,
    iss_required: bool,
}

/// A code of a checked response to a request of this client. Only [`PendingAuthorization::accept`] creates
/// one, so a code that was not checked cannot reach a token endpoint.
#[derive(Debug)]
#[expect(unnameable_types, reason = "callers pass it on to `flow::exchange`")]
pub struct AuthorizationCode {
    pub(super) code: Secret<String>,
    pub(super) verifier: CodeVerifier,
    pub(super) redirect_uri: Url,
    nonce: Option<Nonce>,
}

impl AuthorizationCode {
    /// Returns the secrets to redact in errors: a server may echo the request (CWE-532).
    pub(crate) fn secrets(&self) -> [&str; 2] {
        [self.code.expose(), self.verifier.expose()]
    }

    /// Returns the nonce that an ID token in the token response must repeat.
    pub(crate) fn nonce(&self) -> Option<&Nonce> {
        self.nonce.as_ref()
    }
}

/// Says why a callback is not an authorization.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// The callback is not the response to this request.
    #[error("the callback does not belong to this login")]
    State,
    /// RFC 9207 §2.4: the response of another server, a mix-up attack. Its error text is not shown.
    #[error("the callback names the issuer `{found}`, but this login went to `{expected}`")]
    Issuer {
        /// The issuer that the request went to.
        expected: Issuer,
        /// The issuer in the response.
        found: Issuer,
    },
    /// RFC 9207 §2.4: the metadata announces `iss`, and the response has none. Nothing else of it is
    /// read, so the message has a hint for a user who has declined: django-oauth-toolkit and Canaille
    /// leave `iss` out of errors.
    #[error(
        "a response came without `iss`, which `{0}` announces, and was ignored; if you just declined, \
         that is why"
    )]
    IssuerMissing(Issuer),
    /// The server refused.
    #[error("the authorization server responded with {0}")]
    Refused(OAuthErrorResponse),
    /// No code, two codes, or an invalid one (RFC 6749 §A.11).
    #[error("the callback carries no usable authorization code")]
    NoCode,
}

/// Returns the URL to open, and the pending authorization that accepts the response.
///
/// Parameters of the endpoint's own query are kept; those with the name of a parameter of the request
/// are replaced, so that each occurs exactly once (RFC 6749 §3.1).
///
/// `endpoint` must be the `authorization_endpoint` of `server`.
pub(crate) fn authorization_url(
    server: &ServerMetadata,
    endpoint: &EndpointUrl,
    request: &AuthorizationRequest<'_>,
    state: State,
    verifier: CodeVerifier,
) -> (Url, PendingAuthorization) {
    let challenge = verifier.challenge();
    let scope = request.scope.map(ToString::to_string);
    let own = [
        ("response_type", Some("code")),
        ("client_id", Some(request.client_id)),
        ("redirect_uri", Some(request.redirect_uri.as_str())),
        ("code_challenge", Some(challenge.as_str())),
        ("code_challenge_method", Some("S256")),
        ("state", Some(state.expose())),
        ("resource", request.resource.map(Resource::as_str)),
        ("scope", scope.as_deref()),
        ("dpop_jkt", request.dpop_jkt),
        ("nonce", request.nonce.map(Nonce::expose)),
    ];
    let mut url = endpoint.as_url().clone();
    let is_own = |name: &str| {
        let is_extra = request.extra_params.is_some_and(|extra| extra.names(name));
        is_extra || own.iter().any(|(own, _)| *own == name)
    };
    let extra = request
        .extra_params
        .into_iter()
        .flat_map(AuthorizeParameters::iter);
    let kept: Vec<_> = endpoint
        .as_url()
        .query_pairs()
        .filter(|(name, _)| !is_own(name))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(extra)
        .extend_pairs(
            own.iter()
                .filter_map(|(name, value)| Some((name, (*value)?))),
        );
    url.set_fragment(None);
    let pending = PendingAuthorization {
        state,
        verifier,
        nonce: request.nonce.cloned(),
        redirect_uri: request.redirect_uri.clone(),
        issuer: server.issuer.clone(),
        other_issuers: request.other_issuers.to_vec(),
        iss_required: server.authorization_response_iss_parameter_supported,
    };
    (url, pending)
}

impl PendingAuthorization {
    #[cfg(test)]
    pub(crate) fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// Returns the state of this request.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Returns whether `callback` is the response to this request: it has its `state`, once. Anything
    /// else must not end the wait, because any web page can send it (RFC 6749 §10.12, CVE-2026-42073).
    pub(crate) fn matches_state(&self, callback: &Url) -> bool {
        let expected = self.state.expose().as_bytes();
        only(callback, "state")
            .is_some_and(|state| verify_slices_are_equal(state.as_bytes(), expected).is_ok())
    }

    /// Checks the response and returns its code. `state` is checked first, then `iss` (RFC 9207 §2.4); no
    /// other parameter is read before that.
    pub fn accept(self, callback: &Url) -> Result<AuthorizationCode, CallbackError> {
        if !self.matches_state(callback) {
            return Err(CallbackError::State);
        }
        self.check_issuer(callback)?;
        let (error, code) = (all(callback, "error"), all(callback, "code"));
        match (error.as_slice(), code.as_slice()) {
            ([error], []) => {
                let description = only(callback, "error_description");
                Err(CallbackError::Refused(OAuthErrorResponse::new(
                    error,
                    description.as_deref(),
                )))
            }
            ([], [code]) if is_code(code) => Ok(AuthorizationCode {
                code: Secret::new(code.clone()),
                verifier: self.verifier,
                redirect_uri: self.redirect_uri,
                nonce: self.nonce,
            }),
            _ => Err(CallbackError::NoCode),
        }
    }

    fn check_issuer(&self, callback: &Url) -> Result<(), CallbackError> {
        let expected = &self.issuer;
        let mismatch = |found: &str| CallbackError::Issuer {
            expected: expected.clone(),
            found: Issuer::from(found),
        };
        match all(callback, "iss").as_slice() {
            [] if self.iss_required => Err(CallbackError::IssuerMissing(expected.clone())),
            [] => Ok(()),
            [iss] if iss == expected.as_str() => Ok(()),
            [iss] if self.other_issuers.iter().any(|other| iss == other.as_str()) => Ok(()),
            [iss] => Err(mismatch(iss)),
            several => Err(mismatch(&several.join(" "))),
        }
    }
}

/// `code = 1*VSCHAR` (RFC 6749 §A.11).
fn is_code(code: &str) -> bool {
    (1..=LONGEST_CODE).contains(&code.len()) && code.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

fn all(url: &Url, name: &str) -> Vec<String> {
    let values = url.query_pairs().filter(|(key, _)| key == name);
    values.map(|(_, value)| value.into_owned()).collect()
}

/// Returns the value of a parameter that occurs exactly once.
fn only(url: &Url, name: &str) -> Option<String> {
    match all(url, name).as_mut_slice() {
        [value] => Some(std::mem::take(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::AddressSpace;

    const REDIRECT: &str = "http://127.0.0.1:1/callback";

    fn start(endpoint: &str, iss_required: bool) -> (Url, PendingAuthorization) {
        let parse = |text| EndpointUrl::parse(text, AddressSpace::Public).unwrap();
        let token = parse("https://as.example/token");
        let mut server =
            ServerMetadata::manual(Issuer::from("https://as.example"), parse(endpoint), token);
        server.authorization_response_iss_parameter_supported = iss_required;
        let (redirect, resource) = (
            REDIRECT.parse().unwrap(),
            Resource::from("https://mcp.example"),
        );
        let scope = "a b".parse().unwrap();
        let request = AuthorizationRequest::new("c", &redirect, Some(&resource), Some(&scope));
        let (state, verifier) = (
            State(Secret::new("s".to_owned())),
            CodeVerifier::generate().unwrap(),
        );
        authorization_url(&server, &parse(endpoint), &request, state, verifier)
    }

    #[test]
    fn each_parameter_of_the_request_is_in_the_url_once() {
        let (url, _) = start(
            "https://as.example/authorize?tenant=x&client_id=evil&state=evil#f",
            false,
        );
        for (name, value) in [
            ("tenant", "x"),
            ("response_type", "code"),
            ("client_id", "c"),
            ("redirect_uri", REDIRECT),
            ("state", "s"),
            ("resource", "https://mcp.example"),
            ("scope", "a b"),
            ("code_challenge_method", "S256"),
        ] {
            assert_eq!(all(&url, name), [value], "{url}");
        }
        assert_eq!(only(&url, "code_challenge").unwrap().len(), 43);
        assert_eq!(url.fragment(), None);
    }

    #[test]
    fn only_the_response_to_this_request_is_accepted() {
        use CallbackError as E;
        let as_example = || Issuer::from("https://as.example");
        let mixed = |found: &str| {
            Some(E::Issuer {
                expected: as_example(),
                found: Issuer::from(found),
            })
        };
        let refused = |code: &str| Some(E::Refused(OAuthErrorResponse::new(code, None)));
        let cases: Vec<(bool, &str, Option<CallbackError>)> = vec![
            (false, "code=1&state=s", None),
            (false, "code=1&state=s&iss=https://as.example", None),
            (true, "code=1&state=s&iss=https%3A%2F%2Fas.example", None),
            (
                false,
                "code=1&state=s&iss=https://as.example/",
                mixed("https://as.example/"),
            ),
            (true, "code=1&state=s", Some(E::IssuerMissing(as_example()))),
            (
                true,
                "code=1&state=s&iss=https://AS.example",
                mixed("https://AS.example"),
            ),
            (
                false,
                "code=1&state=s&iss=https://as.example&iss=https://evil",
                mixed("https://as.example https://evil"),
            ),
            (false, "code=1&state=t", Some(E::State)),
            (false, "code=1&state=s&state=s", Some(E::State)),
            (false, "code=1&state=", Some(E::State)),
            (false, "code=1", Some(E::State)),
            (false, "error=access_denied", Some(E::State)),
            (
                false,
                "error=access_denied&state=s",
                refused("access_denied"),
            ),
            (
                false,
                "error=access_denied&state=s&iss=https://evil.example",
                mixed("https://evil.example"),
            ),
            (false, "state=s", Some(E::NoCode)),
            (false, "state=s&code=", Some(E::NoCode)),
            (false, "state=s&code=1&code=2", Some(E::NoCode)),
            (false, "state=s&code=1&error=x", Some(E::NoCode)),
            (false, "state=s&code=%00", Some(E::NoCode)),
            (false, "state=s&code=a%0D%0Ab", Some(E::NoCode)),
        ];
        for (required, query, expected) in cases {
            let (_, pending) = start("https://as.example/authorize", required);
            let callback = format!("{REDIRECT}?{query}").parse().unwrap();
            assert_eq!(pending.accept(&callback).err(), expected, "{query}");
        }
    }

    #[test]
    fn a_code_of_a_megabyte_is_refused() {
        let (_, pending) = start("https://as.example/authorize", false);
        let callback = format!("{REDIRECT}?state=s&code={}", "x".repeat(1 << 20))
            .parse()
            .unwrap();
        assert_eq!(pending.accept(&callback).err(), Some(CallbackError::NoCode));
    }
}
