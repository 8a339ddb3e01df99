//! Client authentication at the token endpoint (RFC 6749 §2.3, RFC 7523 §2.2).

use std::{
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderValue, header};
use mcp_oauth_support::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::form_urlencoded;
use zeroize::Zeroizing;

use super::{
    endpoint::EndpointUrl,
    private_key::{JwtId, PrivateKey, SigningError},
    server_metadata::Issuer,
};
use crate::platform::{AddressSpace, Request};

/// The `client_assertion_type` of a JWT (RFC 7523 §2.2).
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A supported `token_endpoint_auth_method` (RFC 7591 §2).
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum AuthMethod {
    /// A public client: the client id alone.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Id and secret in an `Authorization` header.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// Id and secret in the form.
    #[serde(rename = "client_secret_post")]
    Post,
    /// A signed assertion in the form, and no shared secret (RFC 7523 §2.2).
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The methods with a secret, and `none`.
    const ALL: [Self; 3] = [Self::Basic, Self::Post, Self::None];

    /// Returns the registered name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// Selects the method for a client with or without a secret: the one that it was registered with,
    /// if the server still lists it, else the first in the server's list that sends the secret, else
    /// `none` if that is listed. The list decides, not the presence of a secret. Without a list, the
    /// method is Basic, the default of RFC 8414 §2.
    pub(crate) fn select(
        registered: Option<Self>,
        offered: Option<&[String]>,
        has_secret: bool,
    ) -> Self {
        if !has_secret {
            return Self::None;
        }
        if let Some(registered) = registered.filter(|method| method.is_offered(offered)) {
            return registered;
        }
        let usable = || {
            let names = offered.unwrap_or_default().iter();
            names.filter_map(|name| name.parse::<Self>().ok())
        };
        usable()
            .find(|method| *method != Self::None)
            .or_else(|| usable().next())
            .unwrap_or(Self::Basic)
    }

    /// Returns whether a server with this list supports it. Without a list every method counts as
    /// supported.
    pub(crate) fn is_offered(self, offered: Option<&[String]>) -> bool {
        offered.is_none_or(|offered| offered.iter().any(|name| name == self.as_str()))
    }

    /// Selects the method to request for the registration of a native client: public, where that is
    /// possible, also at servers that list no methods. `client_secret_post` goes before Basic: the
    /// servers of the Python MCP SDK (`mcp` 1.23 to 2.3) list both, and it is the only one that their
    /// token and revocation endpoints accept without extra form fields.
    pub(crate) fn for_registration(offered: Option<&[String]>) -> Self {
        [Self::None, Self::Post, Self::Basic]
            .into_iter()
            .find(|method| method.is_offered(offered))
            .unwrap_or_default()
    }
}

/// Reports a name that is not the name of a method that a registration response may have.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "unknown authentication method (known are none, client_secret_basic and client_secret_post)"
)]
#[non_exhaustive]
#[expect(unnameable_types, reason = "only its message is for callers")]
pub struct UnknownMethodError;

impl FromStr for AuthMethod {
    type Err = UnknownMethodError;

    /// Parses the registered name of a method that uses only what a server issues: a secret, or
    /// nothing. `private_key_jwt` is not among them, because its key comes from the user.
    fn from_str(name: &str) -> Result<Self, UnknownMethodError> {
        Self::ALL
            .into_iter()
            .find(|method| method.as_str() == name)
            .ok_or(UnknownMethodError)
    }
}

/// Says whether a server requires `client_id` in the form beside `client_secret_basic`.
///
/// All clones share the flag, because a token request returns only tokens. The record and the stored
/// registration of a client keep the flag for the next request.
#[derive(Clone, Debug, Default)]
#[expect(
    unnameable_types,
    reason = "callers keep it with the registration and do not read it"
)]
pub struct ClientIdInForm(Arc<AtomicBool>);

impl ClientIdInForm {
    /// Returns whether the server is known to require it.
    pub fn is_required(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn require(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl PartialEq for ClientIdInForm {
    fn eq(&self, other: &Self) -> bool {
        self.is_required() == other.is_required()
    }
}

impl Eq for ClientIdInForm {}

impl Serialize for ClientIdInForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.is_required())
    }
}

impl<'de> Deserialize<'de> for ClientIdInForm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let required = bool::deserialize(deserializer)?;
        Ok(Self(Arc::new(AtomicBool::new(required))))
    }
}

/// A client with the credentials that it sends to an endpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub(crate) struct ClientAuth<'a> {
    /// The client id.
    pub client_id: &'a str,
    /// The secret of a confidential client.
    pub client_secret: Option<&'a Secret<String>>,
    /// The authentication method.
    pub method: AuthMethod,
    signer: Option<Signer<'a>>,
    /// The assertion that `signer` has signed; valid for one request.
    assertion: Option<Secret<String>>,
    /// Says whether `method` was selected from the server's list, and Basic is in that list too.
    may_be_basic: bool,
    /// Says whether `client_id` is in the form beside Basic.
    client_id_in_form: bool,
    /// The shared flag of the client: whether the server requires `client_id` in the form.
    learned: Option<&'a ClientIdInForm>,
    /// Says whether an empty `client_secret` is in the form of a client that sends no secret there.
    empty_secret: bool,
}

/// The key that signs, and the audience of the assertion.
#[derive(Clone, Debug)]
struct Signer<'a> {
    key: &'a PrivateKey,
    audience: Issuer,
}

impl<'a> ClientAuth<'a> {
    /// Creates a client; without a secret it is public, with any method.
    pub(crate) fn new(
        client_id: &'a str,
        client_secret: Option<&'a Secret<String>>,
        method: AuthMethod,
    ) -> Self {
        let method = if client_secret.is_some() {
            method
        } else {
            AuthMethod::None
        };
        Self {
            client_id,
            client_secret,
            method,
            signer: None,
            assertion: None,
            may_be_basic: false,
            client_id_in_form: false,
            learned: None,
            empty_secret: false,
        }
    }

    /// Uses the shared flag of the client, and sets it when the server requires `client_id` in the form.
    /// `may_be_basic` says that the server lists Basic and that the method of the client is not known.
    pub(crate) fn with_learned(mut self, learned: &'a ClientIdInForm, may_be_basic: bool) -> Self {
        self.may_be_basic = may_be_basic;
        self.learned = Some(learned);
        self.as_learned()
    }

    /// Returns the same client with the current value of the shared flag.
    pub(crate) fn as_learned(&self) -> Self {
        let is_required = self.learned.is_some_and(ClientIdInForm::is_required);
        let required = self.with_client_id_in_form().filter(|_| is_required);
        required.unwrap_or_else(|| self.clone())
    }

    /// Returns the same client with Basic and `client_id` in the form too, where that may help after
    /// the client was refused.
    ///
    /// RFC 6749 §3.2.1 allows `client_id` in the form. The Python MCP SDK (`mcp` 1.23 to 2.3),
    /// `FastMCP` and the OAuth example of rmcp read it only there, and some strict servers refuse
    /// it beside Basic, so it is not sent before a refusal. An attacker gains nothing: the id is no
    /// secret, and the endpoint has just received it in the header.
    pub(crate) fn with_client_id_in_form(&self) -> Option<Self> {
        let is_basic = self.method == AuthMethod::Basic;
        let is_possible = is_basic || (self.method == AuthMethod::Post && self.may_be_basic);
        (is_possible && !self.client_id_in_form).then(|| Self {
            method: AuthMethod::Basic,
            client_id_in_form: true,
            ..self.clone()
        })
    }

    /// Sets the shared flag, because the server accepted the client with `client_id` in the form after it
    /// had refused it without.
    pub(crate) fn learn(&self) {
        if let Some(learned) = self.learned.filter(|_| self.client_id_in_form) {
            learned.require();
        }
    }

    /// Returns the same client with an empty `client_secret` in the form, where the form has none.
    ///
    /// For the revocation endpoint of the Python MCP SDK and of `FastMCP`: their data model requires the
    /// field of public clients too. An attacker gains nothing: an empty secret authenticates no client
    /// (RFC 6749 §2.3.1 allows a client to omit it).
    pub(crate) fn with_empty_secret(&self) -> Option<Self> {
        let lacks_secret_field = match self.method {
            AuthMethod::None => !self.client_id.is_empty(),
            AuthMethod::Basic => true,
            AuthMethod::Post | AuthMethod::PrivateKeyJwt => false,
        };
        (lacks_secret_field && !self.empty_secret).then(|| Self {
            client_id_in_form: true,
            empty_secret: true,
            ..self.clone()
        })
    }

    /// Creates a client without an id: the assertion of its request is enough (RFC 7521 §4.1).
    pub(crate) fn anonymous() -> Self {
        Self::new("", None, AuthMethod::None)
    }

    /// Creates a client that signs an assertion for `audience` for each request.
    pub(crate) fn signing(client_id: &'a str, key: &'a PrivateKey, audience: Issuer) -> Self {
        Self {
            method: AuthMethod::PrivateKeyJwt,
            signer: Some(Signer { key, audience }),
            ..Self::new(client_id, None, AuthMethod::None)
        }
    }

    /// Returns the client for one request at `now`, with a new signed assertion if it signs.
    ///
    /// # Errors
    /// [`SigningError`].
    pub(crate) fn with_time(&self, now: SystemTime) -> Result<Self, SigningError> {
        if let Some(Signer { key, audience }) = &self.signer {
            let id = JwtId::generate()?;
            let assertion = key.client_assertion(self.client_id, audience, now, &id)?;
            return Ok(Self {
                assertion: Some(assertion),
                ..self.clone()
            });
        }
        Ok(self.clone())
    }

    /// Returns whether it authenticates, by a secret or a signature.
    pub(crate) fn is_confidential(&self) -> bool {
        self.method != AuthMethod::None
    }

    /// Returns the secrets that it sends, to be redacted by [`token::response_of`](super::token::response_of).
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let assertion = self.assertion.as_ref();
        let secrets = self.client_secret.into_iter().chain(assertion);
        secrets.map(|secret| secret.expose().as_str())
    }

    /// Returns a form with these fields to `endpoint`, authenticated. A client that signs must
    /// be the result of [`with_time`](Self::with_time); else the form has no authentication.
    pub(crate) fn build_form_request(
        &self,
        endpoint: &EndpointUrl,
        address_space: AddressSpace,
        fields: &[(&str, &str)],
    ) -> Request {
        let mut fields = fields.to_vec();
        let secret = self
            .client_secret
            .map_or("", |secret| secret.expose().as_str());
        match self.method {
            AuthMethod::None if self.client_id.is_empty() => {}
            AuthMethod::None => fields.push(("client_id", self.client_id)),
            AuthMethod::Post => {
                fields.extend([("client_id", self.client_id), ("client_secret", secret)]);
            }
            AuthMethod::Basic if self.client_id_in_form => {
                fields.push(("client_id", self.client_id));
            }
            AuthMethod::Basic => {}
            // The subject of the assertion is the client id (RFC 7523 §3), so `client_id` is not needed
            // (RFC 7521 §4.2).
            AuthMethod::PrivateKeyJwt => fields.extend(self.assertion.iter().flat_map(|jwt| {
                [
                    ("client_assertion_type", ASSERTION_TYPE),
                    ("client_assertion", jwt.expose().as_str()),
                ]
            })),
        }
        if self.empty_secret {
            fields.push(("client_secret", ""));
        }
        let mut request = Request::form(endpoint.as_url().clone(), address_space, &fields);
        if self.method == AuthMethod::Basic {
            request
                .headers
                .extend(basic(self.client_id, secret).map(|v| (header::AUTHORIZATION, v)));
        }
        request
    }
}

/// Returns the `Basic` credentials, with id and secret form-encoded first (RFC 6749 §2.3.1).
fn basic(client_id: &str, secret: &str) -> Option<HeaderValue> {
    let encode =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = Zeroizing::new(format!(
        "{}:{}",
        encode(client_id),
        *Zeroizing::new(encode(secret))
    ));
    let text = Zeroizing::new(format!(
        "Basic {}",
        *Zeroizing::new(STANDARD.encode(pair.as_bytes()))
    ));
    let bytes = Bytes::from_owner(Zeroizing::new(text.as_bytes().to_vec()));
    let mut value = HeaderValue::from_maybe_shared(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_is_form_encoded_first() {
        let value = basic("id:1", "p@ss wörd%:").unwrap();
        let pair = STANDARD
            .decode(value.to_str().unwrap().strip_prefix("Basic ").unwrap())
            .unwrap();
        assert_eq!(
            String::from_utf8(pair).unwrap(),
            "id%3A1:p%40ss+w%C3%B6rd%25%3A"
        );
        assert!(value.is_sensitive());
    }

    #[test]
    fn the_list_of_the_server_decides_and_not_the_presence_of_a_secret() {
        let offer =
            |names: &[&str]| -> Vec<String> { names.iter().map(ToString::to_string).collect() };
        for (registered, offered, has_secret, expected) in [
            (None, None, false, AuthMethod::None),
            (None, None, true, AuthMethod::Basic),
            (Some(AuthMethod::Post), None, true, AuthMethod::Post),
            (None, Some(offer(&["none"])), true, AuthMethod::None),
            (
                None,
                Some(offer(&["client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Basic),
                Some(offer(&["client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Post),
                Some(offer(&["client_secret_basic", "client_secret_post"])),
                true,
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Basic),
                Some(offer(&["none"])),
                false,
                AuthMethod::None,
            ),
            (
                None,
                Some(offer(&["private_key_jwt"])),
                true,
                AuthMethod::Basic,
            ),
        ] {
            assert_eq!(
                AuthMethod::select(registered, offered.as_deref(), has_secret),
                expected
            );
        }
    }

    #[test]
    fn an_unknown_method_follows_the_list_of_the_server() {
        for (registered, offered, expected) in [
            // The list of the Python MCP SDK, and that of FastMCP's OAuthProxy.
            (
                None,
                ["client_secret_post", "client_secret_basic"],
                AuthMethod::Post,
            ),
            (
                Some(AuthMethod::Basic),
                ["none", "private_key_jwt"],
                AuthMethod::None,
            ),
            // A secret that was not requested.
            (
                Some(AuthMethod::None),
                ["none", "client_secret_basic"],
                AuthMethod::None,
            ),
            (
                Some(AuthMethod::None),
                ["private_key_jwt", "client_secret_basic"],
                AuthMethod::Basic,
            ),
            (None, ["none", "client_secret_basic"], AuthMethod::Basic),
        ] {
            let offered = offered.map(str::to_owned);
            let chosen = AuthMethod::select(registered, Some(&offered), true);
            assert_eq!(chosen, expected, "{registered:?} {offered:?}");
        }
    }

    #[test]
    fn a_registration_requests_no_secret_or_else_one_in_the_form() {
        for (offered, expected) in [
            (
                vec!["client_secret_post", "client_secret_basic"],
                AuthMethod::Post,
            ),
            (
                vec!["client_secret_basic", "client_secret_post"],
                AuthMethod::Post,
            ),
            (vec!["client_secret_basic"], AuthMethod::Basic),
            (vec!["client_secret_basic", "none"], AuthMethod::None),
            (vec!["private_key_jwt"], AuthMethod::None),
        ] {
            let offered: Vec<String> = offered.into_iter().map(str::to_owned).collect();
            assert_eq!(AuthMethod::for_registration(Some(&offered)), expected);
        }
        assert_eq!(AuthMethod::for_registration(None), AuthMethod::None);
    }

    #[test]
    fn only_a_client_with_basic_has_its_id_in_the_form_too() {
        let secret = Secret::new("planted".to_owned());
        let endpoint = EndpointUrl::parse("https://as/token", AddressSpace::Public).unwrap();
        let learned = ClientIdInForm::default();
        let client = |method, may_be_basic| {
            ClientAuth::new("c", Some(&secret), method).with_learned(&learned, may_be_basic)
        };
        for (method, may_be_basic) in [
            (AuthMethod::None, true),
            (AuthMethod::None, false),
            (AuthMethod::Post, false),
        ] {
            assert!(
                client(method, may_be_basic)
                    .with_client_id_in_form()
                    .is_none()
            );
        }
        for (method, may_be_basic) in [
            (AuthMethod::Basic, false),
            (AuthMethod::Basic, true),
            (AuthMethod::Post, true),
        ] {
            let again = client(method, may_be_basic).with_client_id_in_form();
            let again = again.unwrap();
            let request = again.build_form_request(&endpoint, AddressSpace::Public, &[("a", "b")]);
            assert_eq!(&request.body[..], b"a=b&client_id=c");
            assert!(request.headers.contains_key(header::AUTHORIZATION));
            assert!(again.with_client_id_in_form().is_none());
        }
        let basic = client(AuthMethod::Basic, false);
        basic.learn();
        assert!(!learned.is_required(), "nothing was tried");
        basic.with_client_id_in_form().unwrap().learn();
        assert!(learned.is_required());
        assert!(client(AuthMethod::Post, true).method == AuthMethod::Basic);
        assert!(client(AuthMethod::Post, false).method == AuthMethod::Post);
    }

    #[test]
    fn an_empty_secret_is_added_only_where_the_form_has_none() {
        let secret = Secret::new("planted".to_owned());
        let endpoint = EndpointUrl::parse("https://as/revoke", AddressSpace::Public).unwrap();
        let sent = |client: &ClientAuth<'_>| {
            let request =
                client.build_form_request(&endpoint, AddressSpace::Public, &[("token", "t")]);
            String::from_utf8(request.body.to_vec()).unwrap()
        };
        let public = ClientAuth::new("c", None, AuthMethod::None);
        let again = public.with_empty_secret().unwrap();
        assert_eq!(sent(&again), "token=t&client_id=c&client_secret=");
        assert!(again.with_empty_secret().is_none());
        let basic = ClientAuth::new("c", Some(&secret), AuthMethod::Basic);
        let again = basic.with_empty_secret().unwrap();
        assert_eq!(sent(&again), "token=t&client_id=c&client_secret=");
        let post = ClientAuth::new("c", Some(&secret), AuthMethod::Post);
        assert!(post.with_empty_secret().is_none());
        assert!(ClientAuth::anonymous().with_empty_secret().is_none());
    }

    #[test]
    fn a_secret_is_in_the_header_or_the_form_and_never_in_both() {
        let endpoint = EndpointUrl::parse("https://as/token", AddressSpace::Public).unwrap();
        let secret = Secret::new("planted".to_owned());
        let send = |method| {
            ClientAuth::new("c", Some(&secret), method).build_form_request(
                &endpoint,
                AddressSpace::Public,
                &[("a", "b")],
            )
        };
        assert_eq!(&send(AuthMethod::None).body[..], b"a=b&client_id=c");
        assert_eq!(
            &send(AuthMethod::Post).body[..],
            b"a=b&client_id=c&client_secret=planted"
        );
        let basic = send(AuthMethod::Basic);
        assert_eq!(&basic.body[..], b"a=b");
        assert!(basic.headers.contains_key(header::AUTHORIZATION));
        assert!(!format!("{basic:?}").contains("planted"));
    }

    #[test]
    fn an_anonymous_client_sends_no_client_id() {
        let endpoint = EndpointUrl::parse("https://as/token", AddressSpace::Public).unwrap();
        let request = ClientAuth::anonymous().build_form_request(
            &endpoint,
            AddressSpace::Public,
            &[("a", "b")],
        );
        assert_eq!(&request.body[..], b"a=b");
        assert!(!request.headers.contains_key(header::AUTHORIZATION));
    }

    #[test]
    fn each_request_has_its_own_assertion_and_no_other_credentials() {
        use aws_lc_rs::signature::Ed25519KeyPair;

        let pair = Ed25519KeyPair::generate().unwrap();
        let body = STANDARD.encode(pair.to_pkcs8v1().unwrap());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
        let key = PrivateKey::from_pem(&pem).unwrap();
        let client = ClientAuth::signing("c", &key, Issuer::from("https://as"));
        let endpoint = EndpointUrl::parse("https://as/token", AddressSpace::Public).unwrap();
        let send = || {
            let client = client.with_time(SystemTime::UNIX_EPOCH).unwrap();
            let request = client.build_form_request(&endpoint, AddressSpace::Public, &[("a", "b")]);
            let fields: Vec<(String, String)> =
                form_urlencoded::parse(&request.body).into_owned().collect();
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", "client_assertion_type", "client_assertion"]);
            assert!(client.secrets().eq([fields[2].1.as_str()]));
            assert!(!format!("{client:?}").contains(&fields[2].1[..20]));
            assert!(!request.headers.contains_key(header::AUTHORIZATION));
            fields[2].1.clone()
        };
        assert_ne!(send(), send());
        // Without `with_time` there is no assertion.
        let request = client.build_form_request(&endpoint, AddressSpace::Public, &[("a", "b")]);
        assert_eq!(&request.body[..], b"a=b");
    }
}
