//! The tokens of a session for the whole origin of its server: a stream of 2024-11-05 names a place
//! for messages there, which need not be below the URL of the stream.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, Prover, ServerUrl, Session, TokenSource,
    proto::{challenge::Challenge, resource_metadata::Resource, token::AccessToken},
};

/// A session whose tokens go anywhere at the origin of its server.
pub(super) struct AtOrigin {
    session: Session,
    origin: Resource,
}

impl AtOrigin {
    pub(super) fn new(session: Session) -> Self {
        let origin = session.server().as_url().origin().ascii_serialization();
        let origin = Resource::new(origin);
        Self { session, origin }
    }
}

#[async_trait]
impl TokenSource for AtOrigin {
    fn resource(&self) -> Option<Resource> {
        Some(self.origin.clone())
    }

    fn server(&self) -> &ServerUrl {
        self.session.server()
    }

    fn ready(&self) -> Option<AccessToken> {
        self.session.ready()
    }

    fn prover(&self) -> Option<Arc<Prover>> {
        self.session.prover()
    }

    fn extension(&self) -> Option<&'static str> {
        self.session.extension()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        self.session.token().await
    }

    async fn replace(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        self.session.replace(refused, challenge).await
    }
}
