//! The trait of a grant, and the request that it gets tokens for.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::redirect_uri::CallbackReceiver;
use crate::{
    client_registration::{ClientIdentity, RegisteredClient},
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, RegistrationError},
    non_interactive::{self, NonInteractiveGrant, Requester},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        client_auth::ClientAuth, resource_metadata::Resource, scope::Scope,
        server_metadata::ServerMetadata, token::TokenSet,
    },
};

/// The default time limit for the user to complete a login.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Holds the parameters of a token request: a discovery, and a client of its authorization server.
#[derive(Debug)]
pub struct GrantRequest<'a> {
    pub(super) discovery: &'a Discovery,
    pub(super) client: ClientAuth<'a>,
    pub(super) scope: Option<Scope>,
    pub(super) timeout: Duration,
    pub(super) receiver: Option<CallbackReceiver>,
    pub(super) non_interactive: Option<&'a NonInteractiveGrant>,
    pub(super) proof_generator: Option<Arc<ProofGenerator>>,
}

impl<'a> GrantRequest<'a> {
    /// Creates a request. Unless a scope is `requested`, it is selected from the challenge and the
    /// metadata (MCP authorization, Scope Selection Strategy).
    ///
    /// # Errors
    /// [`RegistrationError::IssuerMismatch`] if `identity` belongs to another authorization server.
    pub fn new(
        discovery: &'a Discovery,
        identity: &'a ClientIdentity,
        requested: Option<&Scope>,
    ) -> Result<Self, RegistrationError> {
        let client = own_client(discovery, identity)?;
        let scope = discovery.scope_to_request(requested);
        Ok(Self {
            discovery,
            client,
            scope,
            timeout: LOGIN_TIMEOUT,
            receiver: None,
            non_interactive: None,
            proof_generator: None,
        })
    }

    /// Returns the same, with the receiver of the callback, if there is one.
    #[must_use]
    pub fn with_receiver(mut self, receiver: impl Into<Option<CallbackReceiver>>) -> Self {
        self.receiver = receiver.into();
        self
    }

    /// Returns the same, for a non-interactive grant.
    #[must_use]
    pub fn with_non_interactive(mut self, grant: &'a NonInteractiveGrant) -> Self {
        self.non_interactive = Some(grant);
        self
    }

    /// Returns the same, with another time limit for the user to complete the login.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Returns the same, for tokens that are bound to the key of `proof_generator` (RFC 9449). The key
    /// belongs in the [`Record`](crate::store::Record) of these tokens: they cannot be used without it.
    #[must_use]
    pub fn with_proof_generator(mut self, proof_generator: Arc<ProofGenerator>) -> Self {
        self.proof_generator = Some(proof_generator);
        self
    }

    /// Returns the discovery of the server.
    pub fn discovery(&self) -> &Discovery {
        self.discovery
    }

    /// Returns the client, with its credentials for the server.
    pub fn client(&self) -> &ClientAuth<'a> {
        &self.client
    }

    /// Returns the scope that is requested.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns the resource that the tokens are for.
    pub fn resource(&self) -> &Resource {
        &self.discovery.resource
    }

    /// Returns the value of the parameter `resource`; none where the server requires none.
    pub fn resource_parameter(&self) -> Option<&Resource> {
        self.discovery.resource_parameter()
    }

    /// Returns the client for one request that is sent now, with a new assertion if it signs.
    pub(super) fn client_now(
        &self,
        platform: &Platform,
    ) -> Result<ClientAuth<'a>, RegistrationError> {
        Ok(self.client.with_time(platform.clock.now())?)
    }

    /// Requests tokens by the non-interactive grant. [`Grant::fits`] checks beforehand that there is
    /// one.
    pub(super) async fn request_non_interactive_tokens(
        &self,
        platform: &Platform,
    ) -> Result<TokenSet, Error> {
        let Some(grant) = self.non_interactive else {
            return Err(no_grant(self).into());
        };
        let requester = Requester {
            client: &self.client,
            proof_generator: self.proof_generator(),
        };
        let tokens = non_interactive::request_tokens(
            platform,
            self.discovery,
            requester,
            grant,
            self.scope(),
            TOKEN_DEADLINE,
        );
        Ok(tokens.await?)
    }

    /// Returns the proof generator, if the tokens are to be bound to a key.
    pub fn proof_generator(&self) -> Option<&ProofGenerator> {
        self.proof_generator.as_deref()
    }
}

fn own_client<'a>(
    discovery: &Discovery,
    identity: &'a ClientIdentity,
) -> Result<ClientAuth<'a>, RegistrationError> {
    identity
        .authenticate(&discovery.metadata)
        .ok_or_else(|| match identity {
            ClientIdentity::Registered(RegisteredClient { issuer, .. }) => {
                RegistrationError::IssuerMismatch {
                    registered: issuer.clone(),
                    found: discovery.metadata.issuer.clone(),
                }
            }
            // The other identities are not bound to an issuer.
            _ => RegistrationError::NoClient(discovery.metadata.issuer.clone()),
        })
}

/// A grant: one flow by which tokens are requested.
#[async_trait]
pub trait Grant: Send + Sync {
    /// Returns the name of the grant in options.
    fn name(&self) -> &'static str;

    /// Returns whether the metadata of the server offers it for a login with a user. A grant that needs
    /// more than the metadata returns `false` here, and decides in [`fits`](Self::fits).
    fn is_offered_by(&self, _server: &ServerMetadata) -> bool {
        false
    }

    /// Returns whether it is selected only if it is requested by name.
    fn must_be_named(&self) -> bool {
        false
    }

    /// Returns whether the browser is redirected to this client: then a [`CallbackReceiver`] is needed,
    /// and a client that is registered with its redirect URI.
    fn needs_redirect(&self) -> bool {
        false
    }

    /// Returns whether it can serve this request. The default implementation is for interactive grants.
    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        request.non_interactive.is_none()
            && self.is_offered_by(&request.discovery.metadata)
            && (request.receiver.is_some() || !self.needs_redirect())
    }

    /// Requests tokens.
    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error>;
}

/// Returns the error of a grant that does not fit, which [`Grant::fits`] excludes beforehand.
pub(super) fn no_grant(request: &GrantRequest<'_>) -> AuthorizationError {
    AuthorizationError::NoGrant {
        issuer: request.discovery.metadata.issuer.clone(),
        requested: None,
        must_be_named: None,
    }
}
