//! The traits of a grant, which each file of a grant implements.

use async_trait::async_trait;

use super::{request::GrantRequest, token_endpoint::NonInteractiveRequest};
use crate::{
    error::{Error, NonInteractiveGrantError},
    platform::{Platform, TOKEN_DEADLINE},
    proto::{server_metadata::ServerMetadata, token::TokenSet},
};

/// A grant that involves the user.
#[async_trait]
pub(crate) trait InteractiveFlow: Send + Sync {
    /// Returns the name of the grant.
    fn name(&self) -> &'static str;

    /// Returns whether the metadata of the server offers it.
    fn is_offered_by(&self, server: &ServerMetadata) -> bool;

    /// Returns whether the browser is redirected to this client: then a
    /// [`CallbackReceiver`](super::CallbackReceiver) is needed, and a client that is registered with its
    /// redirect URI.
    fn needs_redirect(&self) -> bool {
        false
    }

    /// Requests tokens.
    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error>;
}

/// A grant that gets tokens without user interaction. A session repeats it to get a new token.
#[async_trait]
pub(crate) trait NonInteractiveFlow: Send + Sync {
    /// Returns the name of the grant.
    fn name(&self) -> &'static str;

    /// Returns the MCP extension that describes it, if any.
    fn extension(&self) -> Option<&'static str>;

    /// Returns whether it sends an assertion, from a source that the caller passes.
    fn presents_assertion(&self) -> bool {
        true
    }

    /// Returns whether it needs no client id (RFC 7521 §4.1).
    fn needs_no_client_id(&self) -> bool {
        false
    }

    /// Requests tokens, within the deadline of the request. A refused assertion is not sent again (SEP-990,
    /// SEP-1933).
    async fn request_tokens(
        &self,
        request: &NonInteractiveRequest<'_>,
    ) -> Result<TokenSet, NonInteractiveGrantError>;
}

/// One grant, ready to request tokens.
pub(crate) enum GrantFlow<'a> {
    Interactive(&'static dyn InteractiveFlow),
    NonInteractive(Box<dyn NonInteractiveFlow + 'a>),
}

impl GrantFlow<'_> {
    /// Returns the name of the grant.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Interactive(flow) => flow.name(),
            Self::NonInteractive(flow) => flow.name(),
        }
    }

    /// Returns whether it fits the server. A non-interactive grant does, because the caller requested it: many
    /// servers do not list these grants.
    pub(super) fn is_offered_by(&self, server: &ServerMetadata) -> bool {
        match self {
            Self::Interactive(flow) => flow.is_offered_by(server),
            Self::NonInteractive(_) => true,
        }
    }

    /// Returns whether it needs a [`CallbackReceiver`](super::CallbackReceiver).
    pub(crate) fn needs_redirect(&self) -> bool {
        match self {
            Self::Interactive(flow) => flow.needs_redirect(),
            Self::NonInteractive(_) => false,
        }
    }

    /// Requests tokens.
    pub(crate) async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        match self {
            Self::Interactive(flow) => flow.request_tokens(platform, request).await,
            Self::NonInteractive(flow) => {
                let request = NonInteractiveRequest {
                    platform,
                    discovery: request.discovery,
                    client: &request.client,
                    proof_generator: request.proof_generator(),
                    scope: request.scope(),
                    end: platform.clock.now() + TOKEN_DEADLINE,
                };
                Ok(flow.request_tokens(&request).await?)
            }
        }
    }
}
