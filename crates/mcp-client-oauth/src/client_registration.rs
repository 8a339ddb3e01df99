//! Step 2: the client id at the authorization server: pre-registered, else a client metadata document,
//! else dynamic registration (MCP authorization, Client Registration).

use std::time::SystemTime;

use mcp_oauth_support::Secret;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::proto::private_key::PrivateKey;
use crate::{
    discovery::Discovery,
    error::{Error, RegistrationError, RegistrationResponseError},
    platform::{AddressSpace, Platform},
    proto::{
        client_auth::{AuthMethod, ClientAuth, ClientIdInForm},
        endpoint::EndpointUrl,
        registration::{self, Attempts, ClientInformation, ClientMetadata, joined},
        scope::Scope,
        server_metadata::{Issuer, ServerMetadata},
    },
};

mod metadata_document;

pub use metadata_document::client_metadata_document;

/// The name on the consent page, unless the application gives its own. A `client_name` in the
/// registration response does not change it (RFC 7591 §3.2.1).
pub(crate) const CLIENT_NAME: &str = "mcp-client-oauth";

/// A client id and its origin.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientIdentity {
    /// Pre-registered, or registered by RFC 7591: it belongs to one issuer and is sent to no other.
    Registered(RegisteredClient),
    /// A client id metadata document: its URL is the id at every issuer (MCP authorization, Client ID
    /// Metadata Documents).
    #[serde(rename = "document")]
    MetadataDocument(Url),
    /// The same, and the document has the public key by which the client authenticates
    /// (`private_key_jwt`, RFC 7523 §2.2).
    SignedDocument {
        /// The URL of the document.
        url: Url,
        /// The private half.
        key: PrivateKey,
    },
    /// No client id: the assertion alone authenticates the request (RFC 7521 §4.1, SEP-1933).
    #[serde(rename = "unknown")]
    Anonymous,
}

/// A client that is registered with one issuer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RegisteredClient {
    /// The issuer that it is registered with.
    pub issuer: Issuer,
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// The time at which the secret expires; none if never.
    pub secret_expires_at: Option<SystemTime>,
    /// The authentication method that it was registered with, if that is known.
    pub method: Option<AuthMethod>,
    /// Says whether the issuer was found to require `client_id` in the form beside Basic.
    #[serde(default)]
    pub client_id_in_form: ClientIdInForm,
    /// The redirect URI that it was registered with, if that is known. A client that was registered
    /// dynamically without one is for the device grant.
    pub redirect_uri: Option<Url>,
    /// The scope that it was registered with, if that is known.
    #[serde(default, skip_serializing_if = "RegisteredScope::is_unknown")]
    pub scope: RegisteredScope,
    /// Says whether it is pre-registered, so that it is neither registered again nor removed.
    #[serde(rename = "by_hand")]
    pub is_preregistered: bool,
    /// The key by which it authenticates, instead of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PrivateKey>,
}

/// The scope that a client was registered with (RFC 7591 §2). Some servers refuse every other one
/// (Python MCP SDK, django-allauth).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
#[expect(
    unnameable_types,
    reason = "callers read it in a registration, as text"
)]
pub enum RegisteredScope {
    /// Not known: the client was registered manually, or by an earlier version.
    #[default]
    Unknown,
    /// No scope was requested or returned, so the server has selected a default that is not known.
    Unnamed,
    /// At least this: the scope in the request and the scope in the response.
    Named(Scope),
}

impl RegisteredScope {
    fn is_unknown(&self) -> bool {
        *self == Self::Unknown
    }

    fn named(&self) -> Option<&Scope> {
        match self {
            Self::Named(scope) => Some(scope),
            Self::Unknown | Self::Unnamed => None,
        }
    }

    /// Returns whether another registration would allow no more than this one.
    fn covers(&self, requested: Option<&Scope>) -> bool {
        let Some(requested) = requested else {
            return true;
        };
        match self {
            Self::Unknown => true,
            Self::Unnamed => false,
            Self::Named(own) => requested.missing_from(own).is_none(),
        }
    }
}

/// A pre-registered client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PreregisteredClient {
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// The issuer that it is registered with, if the caller gives it; else it is bound to the first
    /// issuer that it is used with.
    pub issuer: Option<Issuer>,
    /// The key by which it authenticates, instead of a secret.
    pub private_key: Option<PrivateKey>,
}

impl PreregisteredClient {
    /// Creates a public client, or a confidential one if a secret is given.
    pub fn new(client_id: impl Into<String>, client_secret: Option<Secret<String>>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            issuer: None,
            private_key: None,
        }
    }
}

/// Holds the client identities that the caller provides.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdentityOptions {
    /// The pre-registered client; goes before everything else.
    pub preregistered: Option<PreregisteredClient>,
    /// The `https` URL of a client metadata document that the application hosts.
    pub document: Option<Url>,
    /// The private key of the public key in the document.
    pub document_key: Option<PrivateKey>,
    /// The name that the consent page shows after dynamic registration.
    pub client_name: String,
    /// Says whether the client is registered with `dpop_bound_access_tokens` (RFC 9449 §5.2): it then
    /// accepts only tokens that are bound to a key.
    pub dpop_bound_access_tokens: bool,
    /// The scope that the login requests, if the caller selects one. A client is registered for it and for
    /// the scope that the server suggests.
    pub scope: Option<Scope>,
}

impl Default for IdentityOptions {
    fn default() -> Self {
        Self {
            preregistered: None,
            document: None,
            document_key: None,
            client_name: CLIENT_NAME.to_owned(),
            dpop_bound_access_tokens: false,
            scope: None,
        }
    }
}

impl IdentityOptions {
    fn documented(&self, url: &Url) -> ClientIdentity {
        if let Some(key) = &self.document_key {
            let (url, key) = (url.clone(), key.clone());
            return ClientIdentity::SignedDocument { url, key };
        }
        ClientIdentity::MetadataDocument(url.clone())
    }
}

impl ClientIdentity {
    /// Returns the client id; empty if there is none.
    pub fn client_id(&self) -> &str {
        match self {
            Self::Registered(own) => &own.client_id,
            Self::MetadataDocument(url) | Self::SignedDocument { url, .. } => url.as_str(),
            Self::Anonymous => "",
        }
    }

    /// Returns the registration with one issuer, if it is one.
    pub(crate) fn registration(&self) -> Option<&RegisteredClient> {
        match self {
            Self::Registered(own) => Some(own),
            _ => None,
        }
    }

    /// Returns the client with its credentials for `server`; none if it belongs to another issuer.
    pub(crate) fn authenticate(&self, server: &ServerMetadata) -> Option<ClientAuth<'_>> {
        let offered = server.token_endpoint_auth_methods_supported.as_deref();
        self.authenticate_by(server, offered)
    }

    /// Returns the client with its credentials for the revocation endpoint of `server` (RFC 8414 §2); none
    /// if it belongs to another issuer.
    pub(crate) fn authenticate_for_revocation(
        &self,
        server: &ServerMetadata,
    ) -> Option<ClientAuth<'_>> {
        self.authenticate_by(server, server.revocation_auth_methods())
    }

    fn authenticate_by(
        &self,
        server: &ServerMetadata,
        offered: Option<&[String]>,
    ) -> Option<ClientAuth<'_>> {
        match self {
            Self::Registered(own) if own.issuer != server.issuer => None,
            Self::Registered(own) => Some(own.authenticate(offered)),
            Self::MetadataDocument(url) => {
                Some(ClientAuth::new(url.as_str(), None, AuthMethod::None))
            }
            Self::SignedDocument { url, key } => Some(ClientAuth::signing(
                url.as_str(),
                key,
                server.issuer.clone(),
            )),
            Self::Anonymous => Some(ClientAuth::anonymous()),
        }
    }

    /// Checks that the server can verify the algorithm of the key (RFC 8414 §2).
    fn check_key(&self, server: &ServerMetadata) -> Result<(), RegistrationError> {
        let key = match self {
            Self::Registered(own) => own.private_key.as_ref(),
            Self::SignedDocument { key, .. } => Some(key),
            Self::MetadataDocument(_) | Self::Anonymous => None,
        };
        let offered = server
            .token_endpoint_auth_signing_alg_values_supported
            .as_ref();
        let (Some(key), Some(offered)) = (key, offered) else {
            return Ok(());
        };
        let own = key.algorithm().as_str();
        if offered.iter().any(|name| name == own) {
            return Ok(());
        }
        let issuer = server.issuer.clone();
        Err(RegistrationError::SigningAlgorithm { issuer, own })
    }
}

impl RegisteredClient {
    /// Returns the client with its credentials for its issuer, which offers these methods.
    pub(crate) fn authenticate(&self, offered: Option<&[String]>) -> ClientAuth<'_> {
        let secret = self.client_secret.as_ref();
        // A signature goes before a secret (SEP-1046: an assertion is recommended).
        if let Some(key) = &self.private_key
            && (secret.is_none() || AuthMethod::PrivateKeyJwt.is_offered(offered))
        {
            return ClientAuth::signing(&self.client_id, key, self.issuer.clone());
        }
        let method = AuthMethod::select(self.method, offered, secret.is_some());
        let is_chosen = self.method != Some(method);
        let may_be_basic = is_chosen && AuthMethod::Basic.is_offered(offered);
        ClientAuth::new(&self.client_id, secret, method)
            .with_learned(&self.client_id_in_form, may_be_basic)
    }

    /// Creates the registration of a pre-registered client with `issuer`.
    pub(crate) fn from_preregistered(client: &PreregisteredClient, issuer: Issuer) -> Self {
        Self {
            issuer,
            client_id: client.client_id.clone(),
            client_secret: client.client_secret.clone(),
            secret_expires_at: None,
            method: None,
            client_id_in_form: ClientIdInForm::default(),
            redirect_uri: None,
            scope: RegisteredScope::Unknown,
            is_preregistered: true,
            private_key: client.private_key.clone(),
        }
    }

    /// Returns whether it can be used again with this issuer and redirect URI, or with this issuer and
    /// without one. RFC 8252 §7.3 allows any port on loopback, but the Python MCP SDK and `FastMCP`
    /// compare it too, and show an error page without a redirect. So a login registers another client if
    /// the registered port is busy.
    pub(crate) fn fits(
        &self,
        issuer: &Issuer,
        redirect_uri: Option<&Url>,
        now: SystemTime,
    ) -> bool {
        let alive = self.secret_expires_at.is_none_or(|at| now < at);
        let same_redirect = match (&self.redirect_uri, redirect_uri) {
            (Some(own), Some(requested)) => own == requested,
            (None, None) => true,
            _ => false,
        };
        self.issuer == *issuer && alive && same_redirect && !self.is_preregistered
    }
}

/// Finds a client id: pre-registered, else a metadata document where the server supports one, else
/// the registration that is `known` already, else a new one: with `redirect_uri`, or without one for
/// the device grant. A known client that was registered with less scope than the login requests is
/// replaced by one for both scopes.
///
/// # Errors
/// [`RegistrationError::IssuerMismatch`] if the client is bound to another issuer: its client id is not
/// sent to this one (MCP authorization, Authorization Server Binding).
pub async fn identify(
    platform: &Platform,
    discovery: &Discovery,
    options: &IdentityOptions,
    known: Option<&RegisteredClient>,
    redirect_uri: Option<&Url>,
) -> Result<ClientIdentity, Error> {
    let server = &discovery.metadata;
    if let Some(given) = given(server, options, known)? {
        return Ok(given);
    }
    let now = platform.clock.now();
    let requested = discovery.scope_to_request(options.scope.as_ref());
    let fits = |known: &&RegisteredClient| {
        known.fits(&server.issuer, redirect_uri, now) && known.scope.covers(requested.as_ref())
    };
    if let Some(known) = known.filter(fits) {
        return Ok(ClientIdentity::Registered(known.clone()));
    }
    let known = known.filter(|known| known.issuer == server.issuer && !known.is_preregistered);
    register_instead(platform, discovery, options, known, redirect_uri).await
}

/// Finds a client id for a non-interactive grant: pre-registered, or a metadata document where the
/// server supports one. Nothing is registered (SEP-1046). With `needs_no_client_id` none is required,
/// because the assertion of the grant authenticates the request (RFC 7521 §4.1).
///
/// # Errors
/// As [`identify`], and [`RegistrationError::NoClient`].
pub(crate) fn identify_non_interactive(
    discovery: &Discovery,
    options: &IdentityOptions,
    known: Option<&RegisteredClient>,
    needs_no_client_id: bool,
) -> Result<ClientIdentity, RegistrationError> {
    let server = &discovery.metadata;
    match given(server, options, known)? {
        Some(given) => Ok(given),
        None if needs_no_client_id => Ok(ClientIdentity::Anonymous),
        None => Err(RegistrationError::NoClient(server.issuer.clone())),
    }
}

/// Returns the client that the caller provides, if the server supports it.
fn given(
    server: &ServerMetadata,
    options: &IdentityOptions,
    known: Option<&RegisteredClient>,
) -> Result<Option<ClientIdentity>, RegistrationError> {
    let client = match (&options.preregistered, &options.document) {
        (Some(client), _) => ClientIdentity::Registered(bind(client, &server.issuer, known)?),
        (None, Some(url)) => {
            check_document(url)?;
            if !server.client_id_metadata_document_supported {
                return Ok(None);
            }
            options.documented(url)
        }
        (None, None) => return Ok(None),
    };
    client.check_key(server)?;
    Ok(Some(client))
}

/// Registers a new client (RFC 7591) with `redirect_uri`, or one for the device grant. A server that
/// refuses the client gets other requests that it may accept, four at
/// most in all.
///
/// # Errors
/// [`Error::Registration`] with the first refusal of the server.
pub(crate) async fn register(
    platform: &Platform,
    discovery: &Discovery,
    options: &IdentityOptions,
    redirect_uri: Option<&Url>,
) -> Result<ClientIdentity, Error> {
    register_instead(platform, discovery, options, None, redirect_uri).await
}

/// Registers as [`register`] does, for the scope of the `known` client too.
async fn register_instead(
    platform: &Platform,
    discovery: &Discovery,
    options: &IdentityOptions,
    known: Option<&RegisteredClient>,
    redirect_uri: Option<&Url>,
) -> Result<ClientIdentity, Error> {
    let server = &discovery.metadata;
    let Some(endpoint) = &server.registration_endpoint else {
        return Err(RegistrationError::RegistrationNotSupported(server.issuer.clone()).into());
    };
    let method =
        AuthMethod::for_registration(server.token_endpoint_auth_methods_supported.as_deref());
    let mut metadata = match redirect_uri {
        Some(redirect_uri) => {
            // Without PKCE the login fails, and would leave an unused client at the server.
            discovery.require_pkce()?;
            ClientMetadata::interactive(&options.client_name, redirect_uri, method)
        }
        None => ClientMetadata::device(&options.client_name, method),
    };
    metadata.dpop_bound_access_tokens = options.dpop_bound_access_tokens;
    let requested = discovery.scope_to_request(options.scope.as_ref());
    let registered_before = known.and_then(|known| known.scope.named());
    let listed = discovery.listed_scope.as_ref();
    let attempts = if registration::is_better_without_scope(endpoint) {
        Attempts::new(metadata, None, None, None)
    } else {
        Attempts::new(metadata, requested.as_ref(), registered_before, listed)
    };
    let registrar = Registrar {
        platform,
        endpoint,
        address_space: discovery.address_space,
        redirect_uri,
    };
    let (registered, sent) =
        registrar
            .send_in_turn(attempts)
            .await?
            .map_err(|cause| RegistrationError::Response {
                url: endpoint.as_url().clone(),
                cause,
            })?;
    // The requested scope is recorded even if the server registered the client without one: another
    // registration would allow no more, so it must not be repeated at each login.
    let scope = joined(
        sent.as_ref().or(requested.as_ref()),
        registered.scope.as_ref(),
    );
    Ok(ClientIdentity::Registered(RegisteredClient {
        issuer: server.issuer.clone(),
        client_id: registered.client_id,
        client_secret: registered.client_secret,
        secret_expires_at: registered.secret_expires_at,
        // RFC 7591 §3.2.1: the response has the registered method. If it is missing, the server has
        // registered the requested one; a secret that was not requested is sent by a method that the
        // metadata lists.
        method: registered
            .method
            .or_else(|| Some(method).filter(|method| *method != AuthMethod::None)),
        client_id_in_form: ClientIdInForm::default(),
        redirect_uri: redirect_uri.cloned(),
        scope: scope.map_or(RegisteredScope::Unnamed, RegisteredScope::Named),
        is_preregistered: false,
        private_key: None,
    }))
}

/// Holds the inputs of each request of one registration.
struct Registrar<'a> {
    platform: &'a Platform,
    endpoint: &'a EndpointUrl,
    address_space: AddressSpace,
    redirect_uri: Option<&'a Url>,
}

impl Registrar<'_> {
    /// Sends one request after the other, and returns the registered client and its scope, or the first
    /// refusal.
    async fn send_in_turn(
        &self,
        mut attempts: Attempts,
    ) -> Result<Result<(ClientInformation, Option<Scope>), RegistrationResponseError>, Error> {
        let scope = attempts.current().scope.clone();
        let first = match self.send(attempts.current()).await? {
            Ok(registered) => return Ok(Ok((registered, scope))),
            Err(refusal) => refusal,
        };
        let mut latest = first.clone();
        while let Some(next) = attempts.fallback_for(&latest) {
            match self.send(next).await {
                Ok(Ok(registered)) => return Ok(Ok((registered, next.scope.clone()))),
                Ok(Err(refusal)) => latest = refusal,
                Err(_) => break,
            }
        }
        Ok(Err(first))
    }

    async fn send(
        &self,
        metadata: &ClientMetadata,
    ) -> Result<Result<ClientInformation, RegistrationResponseError>, Error> {
        let request = registration::request(self.endpoint, self.address_space, metadata);
        let response = self.platform.http.send(request).await?;
        let now = self.platform.clock.now();
        Ok(registration::response(&response, self.redirect_uri, now))
    }
}

/// Binds a client to `issuer`, unless it is bound to another one: by the caller, or by the `known`
/// registration of an earlier login.
fn bind(
    client: &PreregisteredClient,
    issuer: &Issuer,
    known: Option<&RegisteredClient>,
) -> Result<RegisteredClient, RegistrationError> {
    let used = known.filter(|known| known.is_preregistered && known.client_id == client.client_id);
    let bound = client.issuer.as_ref().or(used.map(|used| &used.issuer));
    if let Some(registered) = bound.filter(|bound| !bound.is_same_as(issuer)) {
        let (registered, found) = (registered.clone(), issuer.clone());
        return Err(RegistrationError::IssuerMismatch { registered, found });
    }
    let mut registration = RegisteredClient::from_preregistered(client, issuer.clone());
    if let Some(used) = used.filter(|used| used.issuer == *issuer) {
        registration.client_id_in_form = used.client_id_in_form.clone();
    }
    Ok(registration)
}

/// Checks the URL of the client metadata document (CIMD §3) before a request is sent.
fn check_document(url: &Url) -> Result<(), RegistrationError> {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() == "https" && url.path() != "/" && plain {
        return Ok(());
    }
    Err(RegistrationError::Document(url.clone()))
}
