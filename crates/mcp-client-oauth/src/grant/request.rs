//! The request that a grant gets tokens for.

use std::{sync::Arc, time::Duration};

use super::redirect_uri::CallbackReceiver;
use crate::{
    client_registration::{ClientIdentity, RegisteredClient},
    discovery::Discovery,
    dpop::ProofGenerator,
    error::{AuthorizationError, RegistrationError},
    platform::Platform,
    proto::{client_auth::ClientAuth, resource_metadata::Resource, scope::Scope},
};

/// The default time limit for the user to complete a login.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Holds the parameters of a token request: a discovery, and a client of its authorization server.
#[derive(Debug)]
pub(crate) struct GrantRequest<'a> {
    pub(super) discovery: &'a Discovery,
    pub(super) client: ClientAuth<'a>,
    pub(super) scope: Option<Scope>,
    pub(super) timeout: Duration,
    pub(super) receiver: Option<CallbackReceiver>,
    pub(super) proof_generator: Option<Arc<ProofGenerator>>,
}

impl<'a> GrantRequest<'a> {
    /// Creates a request. Unless a scope is `requested`, it is selected from the challenge and the
    /// metadata (MCP authorization, Scope Selection Strategy).
    ///
    /// # Errors
    /// [`RegistrationError::IssuerMismatch`] if `identity` belongs to another authorization server.
    pub(crate) fn new(
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
            proof_generator: None,
        })
    }

    /// Returns the same, with the receiver of the callback, if there is one.
    #[must_use]
    pub(crate) fn with_receiver(mut self, receiver: Option<CallbackReceiver>) -> Self {
        self.receiver = receiver;
        self
    }

    /// Returns the same, with another time limit for the user to complete the login, if there is one.
    #[must_use]
    pub(crate) fn with_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.timeout = timeout.unwrap_or(self.timeout);
        self
    }

    /// Returns the same, for tokens that are bound to the key of `proof_generator` (RFC 9449), if there is
    /// one. The key belongs in the [`Record`](crate::store::Record) of these tokens: they cannot be used
    /// without it.
    #[must_use]
    pub(crate) fn with_proof_generator(
        mut self,
        proof_generator: Option<Arc<ProofGenerator>>,
    ) -> Self {
        self.proof_generator = proof_generator;
        self
    }

    /// Returns the scope that is requested.
    pub(crate) fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Returns the value of the parameter `resource`; none where the server requires none.
    pub(crate) fn resource_parameter(&self) -> Option<&Resource> {
        self.discovery.resource_parameter()
    }

    /// Returns the client for one request that is sent now, with a new assertion if it signs.
    pub(super) fn client_now(
        &self,
        platform: &Platform,
    ) -> Result<ClientAuth<'a>, RegistrationError> {
        Ok(self.client.with_time(platform.clock.now())?)
    }

    /// Returns the proof generator, if the tokens are to be bound to a key.
    pub(crate) fn proof_generator(&self) -> Option<&ProofGenerator> {
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

/// Returns the error of a grant that does not fit, which [`Grant::select`](super::Grant::select) excludes
/// beforehand.
pub(super) fn no_grant(request: &GrantRequest<'_>) -> AuthorizationError {
    AuthorizationError::NoGrant {
        issuer: request.discovery.metadata.issuer.clone(),
        requested: None,
        must_be_named: None,
    }
}
