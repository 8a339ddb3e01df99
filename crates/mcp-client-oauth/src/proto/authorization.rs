//! The authorization request and its answer (RFC 6749 §4.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9207,
//! OpenID Connect Core §3.1.2.1).

use aws_lc_rs::constant_time::verify_slices_are_equal;
use url::Url;

use super::{
    authorize_parameters::AuthorizeParameters,
    endpoint::EndpointUrl,
    id_token::Nonce,
    oauth_error::OAuthErrorResponse,
    pkce::{CodeVerifier, RandomError, random_text},
    resource_metadata::Resource,
    scope::Scope,
    server_metadata::{Issuer, ServerMetadata},
};
use crate::secret::Secret;

/// The longest authorization code that is taken (H57).
const LONGEST_CODE: usize = 4096;
/// 256 bits.
const STATE_BYTES: usize = 32;

/// Holds what binds a callback to its request: 256 random bits, in memory only (spec-checklist E7).
#[derive(Clone, Debug)]
pub struct State(Secret<String>);

impl State {
    /// Returns a fresh state.
    pub fn generate() -> Result<Self, RandomError> {
        random_text::<STATE_BYTES>().map(Self)
    }

    /// Returns the text to send.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// Holds what to ask the authorization endpoint for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// Who we are.
    pub client_id: &'a str,
    /// Says where the person comes back to.
    pub redirect_uri: &'a Url,
    /// Holds what the token is for (RFC 8707); none only for a server of the legacy kind.
    pub resource: Option<&'a Resource>,
    /// Holds what it may do.
    pub scope: Option<&'a Scope>,
    /// The thumbprint of the key that the code is bound to (RFC 9449 §10).
    pub dpop_jkt: Option<&'a str>,
    /// The nonce that an ID token must repeat; for the scope `openid` alone.
    pub nonce: Option<&'a Nonce>,
    /// Holds what this server wants besides.
    pub more: Option<&'a AuthorizeParameters>,
    /// By what other names the server may call itself in its answer. There are none in the
    /// specifications (RFC 9207 §2.4).
    pub other_issuers: &'a [Issuer],
}

impl<'a> AuthorizationRequest<'a> {
    /// A request of given parts.
    pub fn new(
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
            more: None,
            other_issuers: &[],
        }
    }
}

/// A request on its way through the browser; used up by the callback.
#[derive(Debug)]
pub struct PendingAuthorization {
    state: State,
    verifier: CodeVerifier,
    nonce: Option<Nonce>,
    redirect_uri: Url,
    issuer: Issuer,
    other_issuers: Vec<Issuer>,
    iss_required: bool,
}

/// A code that came back in answer to our own request. It can be had in no other way, so a code
/// that was not checked cannot reach a token endpoint.
#[derive(Debug)]
pub struct AuthorizationCode {
    pub(super) code: Secret<String>,
    pub(super) verifier: CodeVerifier,
    pub(super) redirect_uri: Url,
    nonce: Option<Nonce>,
}

impl AuthorizationCode {
    /// Returns what must be in nobody's words: a server may echo what it was sent (H160).
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
    /// Not the answer to our request.
    #[error("the callback does not belong to this login")]
    State,
    /// RFC 9207 §2.4: the answer of another server, a mix-up. What it says is not repeated (F6).
    #[error("the callback names the issuer `{found}`, but this login went to `{expected}`")]
    Issuer {
        /// Says where the request went.
        expected: Issuer,
        /// Says where the answer says it comes from.
        found: Issuer,
    },
    /// RFC 9207 §2.4: the server promised to name itself, and the answer does not. Nothing of it is
    /// read, so a user who has declined is told what that looks like: django-oauth-toolkit and
    /// Canaille leave `iss` out of errors.
    #[error(
        "a response came without `iss`, which `{0}` promises, and was ignored; if you just declined, \
         that is why"
    )]
    IssuerMissing(Issuer),
    /// The server said no.
    #[error("the authorization server answered {0}")]
    Refused(OAuthErrorResponse),
    /// No code, two of them, or one that is none.
    #[error("the callback carries no usable authorization code")]
    NoCode,
}

/// Returns the URL to open, and what is needed to accept the answer.
///
/// Parameters of the endpoint's own query are kept; those with a name of ours, or of what the
/// request has besides, are replaced, so that each is there exactly once (H69).
///
/// The request may go only to a server whose `authorization_endpoint` is `endpoint`.
pub fn authorization_url(
    server: &ServerMetadata,
    endpoint: &EndpointUrl,
    request: &AuthorizationRequest<'_>,
    state: State,
    verifier: CodeVerifier,
) -> (Url, PendingAuthorization) {
    let challenge = verifier.challenge();
    let scope = request.scope.map(ToString::to_string);
    let ours = [
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
    let is_ours = |name: &str| {
        let is_more = request.more.is_some_and(|more| more.names(name));
        is_more || ours.iter().any(|(own, _)| *own == name)
    };
    let more = request.more.into_iter().flat_map(AuthorizeParameters::iter);
    let kept: Vec<_> = endpoint
        .as_url()
        .query_pairs()
        .filter(|(name, _)| !is_ours(name))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(more)
        .extend_pairs(
            ours.iter()
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
    /// Returns where the answer will come to.
    pub fn redirect_uri(&self) -> &Url {
        &self.redirect_uri
    }

    /// Returns whether `callback` answers this request: it carries our `state`, once. Anything else is
    /// somebody's noise, and must not end the wait (H49, H50).
    pub fn matches_state(&self, callback: &Url) -> bool {
        let expected = self.state.expose().as_bytes();
        only(callback, "state")
            .is_some_and(|state| verify_slices_are_equal(state.as_bytes(), expected).is_ok())
    }

    /// Accepts the answer. `state` is checked first, then `iss`; only then is anything else read
    /// (spec-checklist F1-F6).
    pub fn accept(self, callback: &Url) -> Result<AuthorizationCode, CallbackError> {
        if !self.matches_state(callback) {
            return Err(CallbackError::State);
        }
        self.check_issuer(callback)?;
        let (error, code) = (all(callback, "error"), all(callback, "code"));
        match (error.as_slice(), code.as_slice()) {
            ([error], []) => {
                let words = only(callback, "error_description");
                Err(CallbackError::Refused(OAuthErrorResponse::new(
                    error,
                    words.as_deref(),
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
            found: Issuer::new(found),
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

/// Returns the value of a parameter that is there exactly once.
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
            ServerMetadata::manual(Issuer::new("https://as.example"), parse(endpoint), token);
        server.authorization_response_iss_parameter_supported = iss_required;
        let (redirect, resource) = (
            REDIRECT.parse().unwrap(),
            Resource::new("https://mcp.example"),
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
    fn each_of_our_parameters_is_there_once() {
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
    fn only_our_own_answer_is_accepted() {
        use CallbackError as E;
        let as_example = || Issuer::new("https://as.example");
        let mixed = |found: &str| {
            Some(E::Issuer {
                expected: as_example(),
                found: Issuer::new(found),
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
    fn a_code_of_a_megabyte_is_none() {
        let (_, pending) = start("https://as.example/authorize", false);
        let callback = format!("{REDIRECT}?state=s&code={}", "x".repeat(1 << 20))
            .parse()
            .unwrap();
        assert_eq!(pending.accept(&callback).err(), Some(CallbackError::NoCode));
    }
}
