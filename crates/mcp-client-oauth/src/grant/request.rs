//! What a grant is, and what it works on.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::redirect_uri::CallbackReceiver;
use crate::{
    client_registration::{ClientIdentity, RegisteredClient},
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{AuthorizationError, Error, RegistrationError},
    non_interactive::{self, By, NonInteractiveGrant},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{
        client_auth::ClientAuth, resource_metadata::Resource, scope::Scope,
        server_metadata::ServerMetadata, token::TokenSet,
    },
};

/// Says how long a person may take over a login, unless the caller says otherwise.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Holds what a grant works on: an identity that belongs to the authorization server.
#[derive(Debug)]
pub struct GrantRequest<'a> {
    pub(super) discovery: &'a Discovery,
    pub(super) client: ClientAuth<'a>,
    pub(super) scope: Option<Scope>,
    pub(super) timeout: Duration,
    pub(super) receiver: Option<CallbackReceiver>,
    pub(super) machine: Option<&'a NonInteractiveGrant>,
    pub(super) prover: Option<Arc<ProofGenerator>>,
}

impl<'a> GrantRequest<'a> {
    /// Chooses the scope (spec-checklist G1) unless one is `wanted`.
    ///
    /// # Errors
    /// [`RegistrationError::IssuerMismatch`] if `identity` belongs to another authorization server.
    pub fn new(
        discovery: &'a Discovery,
        identity: &'a ClientIdentity,
        wanted: Option<&Scope>,
    ) -> Result<Self, RegistrationError> {
        let client = own_client(discovery, identity)?;
        let scope = discovery.scope_to_request(wanted);
        Ok(Self {
            discovery,
            client,
            scope,
            timeout: LOGIN_TIMEOUT,
            receiver: None,
            machine: None,
            prover: None,
        })
    }

    /// The same, with a way for the browser to come back, if there is one.
    #[must_use]
    pub fn with_receiver(mut self, receiver: impl Into<Option<CallbackReceiver>>) -> Self {
        self.receiver = receiver.into();
        self
    }

    /// The same, for nobody to be asked.
    #[must_use]
    pub fn with_machine(mut self, machine: &'a NonInteractiveGrant) -> Self {
        self.machine = Some(machine);
        self
    }

    /// The same, with another limit on how long a person may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, for tokens that are bound to the key of `prover` (RFC 9449). The key belongs in
    /// the [`Record`](crate::store::Record) of these tokens: nobody can use them without it.
    #[must_use]
    pub fn with_prover(mut self, prover: Arc<ProofGenerator>) -> Self {
        self.prover = Some(prover);
        self
    }

    /// Returns what was learnt about the server.
    pub fn discovery(&self) -> &Discovery {
        self.discovery
    }

    /// Returns the client, as it presents itself to the server.
    pub fn client(&self) -> &ClientAuth<'a> {
        &self.client
    }

    /// Returns what will be asked for.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns what the tokens are for.
    pub fn resource(&self) -> &Resource {
        &self.discovery.resource
    }

    /// Returns the value of the parameter `resource`; none where the server wants none.
    pub fn resource_parameter(&self) -> Option<&Resource> {
        self.discovery.resource_parameter()
    }

    /// Returns the client at the moment of one request.
    pub(super) fn client_now(
        &self,
        platform: &Platform,
    ) -> Result<ClientAuth<'a>, RegistrationError> {
        Ok(self.client.with_time(platform.clock.now())?)
    }

    /// Returns what the grants without a person have in common; [`Grant::fits`] says beforehand that there
    /// is one.
    pub(super) async fn obtain_without_person(
        &self,
        platform: &Platform,
    ) -> Result<TokenSet, Error> {
        let Some(machine) = self.machine else {
            return Err(no_grant(self).into());
        };
        let by = By {
            client: &self.client,
            prover: self.prover(),
        };
        let tokens = non_interactive::obtain(
            platform,
            self.discovery,
            by,
            machine,
            self.scope(),
            TOKEN_DEADLINE,
        );
        Ok(tokens.await?)
    }

    /// Returns what proves that we have the key of the tokens, if they are to be bound to one.
    pub fn prover(&self) -> Option<&ProofGenerator> {
        self.prover.as_deref()
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
            // Whom every issuer may know belongs to none.
            _ => RegistrationError::NoClient(discovery.metadata.issuer.clone()),
        })
}

/// A way to get tokens.
#[async_trait]
pub trait Grant: Send + Sync {
    /// Returns its name in options.
    fn name(&self) -> &'static str;

    /// Returns whether the server offers it to a person. A grant that needs more than the server's word
    /// says no here, and decides in [`fits`](Self::fits).
    fn is_offered_by(&self, _server: &ServerMetadata) -> bool {
        false
    }

    /// Returns whether it is never chosen unless it is asked for by name.
    fn must_be_named(&self) -> bool {
        false
    }

    /// Returns whether a browser has to come back to us: then a [`CallbackReceiver`] is needed, and a client that is
    /// registered with its redirect URI.
    fn needs_redirect(&self) -> bool {
        false
    }

    /// Returns whether it can work here. By itself, a grant that a person takes part in.
    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        request.machine.is_none()
            && self.is_offered_by(&request.discovery.metadata)
            && (request.receiver.is_some() || !self.needs_redirect())
    }

    /// Gets tokens.
    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error>;
}

/// Returns what [`Grant::fits`] says beforehand.
pub(super) fn no_grant(request: &GrantRequest<'_>) -> AuthorizationError {
    AuthorizationError::NoGrant {
        issuer: request.discovery.metadata.issuer.clone(),
        wanted: None,
        must_be_named: None,
    }
}
