//! The tokens of a session, for the server and, where a stream of 2024-11-05 names a place for messages
//! which is not below its own URL, for the whole origin of it. Each that goes out is noted.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, ProofGenerator, ServerUrl, Session, TokenSource,
    proto::{challenge::Challenge, resource_metadata::Resource, token::AccessToken},
};

use super::redact_body::SentTokens;

/// A session whose tokens are noted before they are shown.
pub(super) struct Source {
    session: Session,
    /// Says where its tokens go, if not where the session says.
    origin: Option<Resource>,
    shown: SentTokens,
}

impl Source {
    pub(super) fn new(session: Session, shown: SentTokens) -> Self {
        Self {
            session,
            origin: None,
            shown,
        }
    }

    /// The same for anywhere at the origin of the server.
    pub(super) fn at_origin(session: Session, shown: SentTokens) -> Self {
        let origin = session.server().as_url().origin().ascii_serialization();
        Self {
            origin: Some(Resource::new(origin)),
            ..Self::new(session, shown)
        }
    }

    fn noted(&self, token: AccessToken) -> AccessToken {
        self.shown.note(&token);
        token
    }
}

#[async_trait]
impl TokenSource for Source {
    fn resource(&self) -> Option<Resource> {
        self.origin.clone().or_else(|| self.session.resource())
    }

    fn server(&self) -> &ServerUrl {
        self.session.server()
    }

    fn cached_token(&self) -> Option<AccessToken> {
        self.session.cached_token().map(|token| self.noted(token))
    }

    fn prover(&self) -> Option<Arc<ProofGenerator>> {
        self.session.prover()
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        self.session.mcp_extension()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        self.session.token().await.map(|token| self.noted(token))
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
        other.map(|token| self.noted(token))
    }
}
