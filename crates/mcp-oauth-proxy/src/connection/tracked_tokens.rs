//! The tokens of a session, for the server and for its whole origin: a stream of MCP 2024-11-05 may name an
//! endpoint that is not below the URL of the server. Each token that is sent is recorded.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, ServerUrl, Session,
    adapters::TokenSource,
    flow::{AccessToken, Challenge, ProofGenerator, Resource},
    platform::AddressSpace,
};

use super::redact_body::SentTokens;

/// A session that records each token before it is sent.
pub(super) struct TrackedTokens {
    session: Session,
    /// The resource that the tokens are sent to, if it differs from the session's.
    origin: Option<Resource>,
    sent_tokens: SentTokens,
}

impl TrackedTokens {
    pub(super) fn new(session: Session, sent_tokens: SentTokens) -> Self {
        Self {
            session,
            origin: None,
            sent_tokens,
        }
    }

    /// Returns a source for the whole origin of the server.
    pub(super) fn at_origin(session: Session, sent_tokens: SentTokens) -> Self {
        let origin = session.server().as_url().origin().ascii_serialization();
        Self {
            origin: Some(Resource::from(origin)),
            ..Self::new(session, sent_tokens)
        }
    }

    fn record(&self, token: AccessToken) -> AccessToken {
        self.sent_tokens.record(&token);
        token
    }
}

#[async_trait]
impl TokenSource for TrackedTokens {
    fn resource(&self) -> Option<Resource> {
        self.origin.clone().or_else(|| self.session.resource())
    }

    fn server(&self) -> &ServerUrl {
        self.session.server()
    }

    fn address_space(&self) -> AddressSpace {
        self.session.address_space()
    }

    fn cached_token(&self) -> Option<AccessToken> {
        self.session.cached_token().map(|token| self.record(token))
    }

    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        self.session.proof_generator()
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        self.session.mcp_extension()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        self.session.token().await.map(|token| self.record(token))
    }

    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        let other = self
            .session
            .refresh_after_rejection(refused, challenge)
            .await;
        other.map(|token| self.record(token))
    }
}
