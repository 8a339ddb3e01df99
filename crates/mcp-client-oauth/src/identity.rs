//! Step 2: who are we to that authorization server?
//! (spec-checklist D: pre-registered, else a client metadata document, else dynamic registration)

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    discovery::Discovery,
    error::{Error, RegistrationError},
    platform::Platform,
    proto::{
        client_auth::{AuthMethod, ClientAuth},
        registration::{self, ClientMetadata},
        server_metadata::{Issuer, ServerMetadata},
    },
    secret::Secret,
};

/// The name on the consent page, unless the application gives its own (H74: no server can set it).
pub const CLIENT_NAME: &str = "mcp-client-oauth";

/// A client id, and how it was come by.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ClientIdentity {
    /// Registered by hand or by RFC 7591: it belongs to one issuer and is never shown to another.
    Registered(Registration),
    /// A client id metadata document: its URL is the id, everywhere (spec-checklist D15).
    Document(Url),
}

/// A client that one issuer knows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Registration {
    /// Whose client it is.
    pub issuer: Issuer,
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// When the secret stops working; none if never.
    pub secret_expires_at: Option<SystemTime>,
    /// The authentication method that it was registered with, if that is known.
    pub method: Option<AuthMethod>,
    /// The redirect URI that it was registered with, if that is known. A client that registered
    /// itself without one is for the device grant.
    pub redirect_uri: Option<Url>,
    /// Whether a person registered it by hand.
    pub by_hand: bool,
}

/// A client that was registered by hand.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preregistered {
    /// The client id.
    pub client_id: String,
    /// The secret of a confidential client.
    pub client_secret: Option<Secret<String>>,
    /// Whose client it is, if the caller knows; else it is bound to the first issuer that it is
    /// used with.
    pub issuer: Option<Issuer>,
}

impl Preregistered {
    /// A public client, or a confidential one if a secret is given.
    pub fn new(client_id: impl Into<String>, client_secret: Option<Secret<String>>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret,
            issuer: None,
        }
    }
}

/// What the caller brings.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IdentityOptions {
    /// Registered by hand; goes before everything else.
    pub preregistered: Option<Preregistered>,
    /// The `https` URL of a client metadata document that the application hosts.
    pub document: Option<Url>,
    /// The name that dynamic registration shows to people.
    pub client_name: String,
}

impl Default for IdentityOptions {
    fn default() -> Self {
        Self {
            preregistered: None,
            document: None,
            client_name: CLIENT_NAME.to_owned(),
        }
    }
}

impl ClientIdentity {
    /// The client id, wherever it may be shown.
    pub fn client_id(&self) -> &str {
        match self {
            Self::Registered(own) => &own.client_id,
            Self::Document(url) => url.as_str(),
        }
    }

    /// Whether a person registered it.
    pub(crate) fn is_by_hand(&self) -> bool {
        matches!(self, Self::Registered(own) if own.by_hand)
    }

    /// The client as it presents itself to `server`; none if it belongs to another issuer.
    pub fn authenticate(&self, server: &ServerMetadata) -> Option<ClientAuth<'_>> {
        match self {
            Self::Registered(own) if own.issuer != server.issuer => None,
            Self::Registered(own) => {
                let offered = server.token_endpoint_auth_methods_supported.as_deref();
                let secret = own.client_secret.as_ref();
                let method = AuthMethod::choose(own.method, offered, secret.is_some());
                Some(ClientAuth::new(&own.client_id, secret, method))
            }
            Self::Document(url) => Some(ClientAuth::new(url.as_str(), None, AuthMethod::None)),
        }
    }
}

impl Registration {
    /// Whether it can be used again with this issuer and redirect URI (on loopback the port may
    /// vary, RFC 8252 §7.3), or with this issuer and without one.
    pub fn fits(&self, issuer: &Issuer, redirect_uri: Option<&Url>, now: SystemTime) -> bool {
        let alive = self.secret_expires_at.is_none_or(|at| now < at);
        let comes_back = match (&self.redirect_uri, redirect_uri) {
            (Some(own), Some(ours)) => registration::same_redirect(own, ours),
            (None, None) => true,
            _ => false,
        };
        self.issuer == *issuer && alive && comes_back && !self.by_hand
    }
}

/// Finds a client id: pre-registered, else a metadata document where the server takes one, else
/// the registration that is `known` already, else a new one: with `redirect_uri`, or without one for
/// the device grant.
///
/// # Errors
/// [`RegistrationError::OtherIssuer`] rather than showing a client id to a stranger (D13, D14).
pub async fn identify(
    platform: &Platform,
    discovery: &Discovery,
    options: &IdentityOptions,
    known: Option<&Registration>,
    redirect_uri: Option<&Url>,
) -> Result<ClientIdentity, Error> {
    let server = &discovery.metadata;
    if let Some(client) = &options.preregistered {
        return Ok(ClientIdentity::Registered(bind(
            client,
            &server.issuer,
            known,
        )?));
    }
    if let Some(url) = &options.document {
        check_document(url)?;
        if server.client_id_metadata_document_supported {
            return Ok(ClientIdentity::Document(url.clone()));
        }
    }
    let now = platform.clock.now();
    if let Some(known) = known.filter(|known| known.fits(&server.issuer, redirect_uri, now)) {
        return Ok(ClientIdentity::Registered(known.clone()));
    }
    register(platform, discovery, &options.client_name, redirect_uri).await
}

/// Registers a new client (RFC 7591) with `redirect_uri`, or one for the device grant.
///
/// # Errors
/// [`Error::Registration`] with what the server said.
pub async fn register(
    platform: &Platform,
    discovery: &Discovery,
    client_name: &str,
    redirect_uri: Option<&Url>,
) -> Result<ClientIdentity, Error> {
    let server = &discovery.metadata;
    let Some(endpoint) = &server.registration_endpoint else {
        return Err(RegistrationError::NoWay(server.issuer.clone()).into());
    };
    let method = AuthMethod::to_register(server.token_endpoint_auth_methods_supported.as_deref());
    let metadata = match redirect_uri {
        Some(redirect_uri) => {
            // Without it no login will follow, and the client would be left behind.
            discovery.require_pkce()?;
            ClientMetadata::interactive(client_name, redirect_uri, method)
        }
        None => ClientMetadata::device(client_name, method),
    };
    let request = registration::request(endpoint, discovery.reach, &metadata);
    let answer = platform.http.send(request).await?;
    let registered =
        registration::response(&answer, redirect_uri, platform.clock.now()).map_err(|cause| {
            RegistrationError::Answer {
                url: endpoint.as_url().clone(),
                cause,
            }
        })?;
    Ok(ClientIdentity::Registered(Registration {
        issuer: server.issuer.clone(),
        client_id: registered.client_id,
        client_secret: registered.client_secret,
        secret_expires_at: registered.secret_expires_at,
        method: registered.method,
        redirect_uri: redirect_uri.cloned(),
        by_hand: false,
    }))
}

/// Binds a client to `issuer`, unless it is bound to another one: by the caller, or by what is
/// `known` of its use before.
fn bind(
    client: &Preregistered,
    issuer: &Issuer,
    known: Option<&Registration>,
) -> Result<Registration, RegistrationError> {
    let used = known.filter(|known| known.by_hand && known.client_id == client.client_id);
    let bound = client.issuer.as_ref().or(used.map(|used| &used.issuer));
    if let Some(registered) = bound.filter(|bound| *bound != issuer) {
        let (registered, found) = (registered.clone(), issuer.clone());
        return Err(RegistrationError::OtherIssuer { registered, found });
    }
    Ok(Registration {
        issuer: issuer.clone(),
        client_id: client.client_id.clone(),
        client_secret: client.client_secret.clone(),
        secret_expires_at: None,
        method: None,
        redirect_uri: None,
        by_hand: true,
    })
}

/// spec-checklist D5, H174: our own misconfiguration is found before anybody is asked.
fn check_document(url: &Url) -> Result<(), RegistrationError> {
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() == "https" && url.path() != "/" && plain {
        return Ok(());
    }
    Err(RegistrationError::Document(url.clone()))
}
