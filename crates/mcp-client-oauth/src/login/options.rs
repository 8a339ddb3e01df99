//! The options of a login.

use std::{sync::Arc, time::Duration};

use super::pending::ReturnPath;
use crate::{
    client_registration::IdentityOptions,
    discovery::{Discovery, DiscoveryOptions},
    dpop::ProofGenerator,
    error::AuthorizationError,
    grant::{Grant, RedirectTarget},
    platform::Platform,
    proto::{dpop::DpopKey, scope::Scope},
    server_url::ServerUrl,
    store::LoginKey,
    stored_session::StoredSession,
};

/// The options of a login. The defaults suit most servers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub(crate) struct LoginOptions {
    /// The name of the account, if the user has several at the server.
    pub account: Option<String>,
    /// The options of discovery, and the challenge that made the login necessary.
    pub discovery: DiscoveryOptions,
    /// The client to authenticate as.
    pub identity: IdentityOptions,
    /// The grant. The source of an assertion in it is not stored: a session that is opened later needs it
    /// again, so the caller passes it again.
    pub grant: Grant,
    /// The scope to request, instead of the one that the server suggests.
    pub scope: Option<Scope>,
    /// The redirect URI, if the grant needs one.
    pub redirect: RedirectTarget,
    /// The time that the user has to authorize the client, instead of the default. A device code may expire
    /// earlier.
    pub timeout: Option<Duration>,
    /// The path of the application to return to, for a login that ends in another request.
    pub return_to: Option<ReturnPath>,
    /// Says whether to repeat discovery and dynamic registration, instead of reusing their stored results. A
    /// pre-registered client stays bound to its issuer in any case.
    pub force: bool,
    /// Says whether to reuse a login of the same account at another resource of the same issuer, if there is
    /// one: its refresh token gets a token for this resource too, if the issuer allows that, without
    /// user interaction. Each resource still has its own access token.
    pub reuse_issuer_login: bool,
    /// Says whether the tokens are bound to a key (DPoP), so that a stolen token cannot be used.
    pub dpop: DpopPolicy,
}

/// Says whether a login requests tokens that are bound to a key (DPoP, RFC 9449). The key is generated for
/// the login and stored with its tokens.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) enum DpopPolicy {
    /// Only if the server requires such tokens, by its metadata (`dpop_bound_access_tokens_required`,
    /// RFC 9728 §2) or by the scheme `DPoP` of its challenge.
    #[default]
    Auto,
    /// Always. A client that is registered dynamically is registered for these tokens alone. The login
    /// fails if the authorization server does not support them.
    Always,
    /// Never.
    Never,
}

impl LoginOptions {
    /// Returns the key under which a login with these options is stored.
    pub(crate) fn key(&self, server: &ServerUrl) -> LoginKey {
        let key = LoginKey::from(server.clone());
        match &self.account {
            Some(account) => key.with_account(account),
            None => key,
        }
    }

    /// Sets the grant of these options on a session, if it is non-interactive: the session repeats it.
    pub(crate) fn apply_grant(&self, session: StoredSession) -> StoredSession {
        if self.grant.is_non_interactive() {
            return session.with_grant(self.grant.clone(), &self.discovery);
        }
        session
    }

    /// Returns the proof generator of this login, if its tokens are to be bound to a key.
    pub(super) fn proof_generator(
        &self,
        platform: &Platform,
        discovery: &Discovery,
    ) -> Result<Option<Arc<ProofGenerator>>, AuthorizationError> {
        let is_required = match self.dpop {
            DpopPolicy::Auto => discovery.requires_dpop,
            DpopPolicy::Always => true,
            DpopPolicy::Never => false,
        };
        if !is_required {
            return Ok(None);
        }
        if !discovery.metadata.supports_dpop() {
            let issuer = discovery.issuer().clone();
            return Err(AuthorizationError::DpopUnsupported(issuer));
        }
        let key = DpopKey::generate()?;
        Ok(Some(Arc::new(ProofGenerator::new(
            key,
            Arc::clone(&platform.clock),
        ))))
    }

    /// Returns the client identities of these options, for a registration.
    pub(super) fn client(&self) -> IdentityOptions {
        let mut client = self.identity.clone();
        client.dpop_bound_access_tokens |= self.dpop == DpopPolicy::Always;
        client.scope.clone_from(&self.scope);
        client
    }
}
