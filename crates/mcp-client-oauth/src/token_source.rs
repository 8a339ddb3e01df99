//! The trait of a source of tokens.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    dpop::ProofGenerator,
    error::Error,
    platform::AddressSpace,
    proto::{challenge::Challenge, resource_metadata::Resource, token::AccessToken},
    server_url::ServerUrl,
};

/// A source of tokens for one resource.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// Returns the resource that its tokens may be sent to, or `None` if it has no token yet.
    fn resource(&self) -> Option<Resource>;

    /// Returns the MCP server of its tokens.
    fn server(&self) -> &ServerUrl;

    /// Returns the most private address space that its tokens may be sent to. By default the server may be
    /// at any address, because the user named it; one with plain http must be in a private network.
    fn address_space(&self) -> AddressSpace {
        AddressSpace::for_server(self.server())
    }

    /// Returns a valid token without I/O and without waiting, or `None` if it needs either.
    fn cached_token(&self) -> Option<AccessToken>;

    /// Returns the MCP extension that its grant belongs to, if any. A client declares it in the `extensions`
    /// of its MCP capabilities.
    fn mcp_extension(&self) -> Option<&'static str> {
        None
    }

    /// Returns the generator of the DPoP proof that each request with one of its tokens needs (RFC 9449), or
    /// `None` if its tokens are bearer tokens.
    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        None
    }

    /// Returns a valid token.
    async fn token(&self) -> Result<AccessToken, Error>;

    /// Returns a token other than `refused`, which the server has rejected. It is a compare-and-swap: if
    /// `refused` is no longer the current token, the current one is returned.
    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error>;
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    fn resource(&self) -> Option<Resource> {
        (**self).resource()
    }

    fn server(&self) -> &ServerUrl {
        (**self).server()
    }

    fn address_space(&self) -> AddressSpace {
        (**self).address_space()
    }

    fn cached_token(&self) -> Option<AccessToken> {
        (**self).cached_token()
    }

    fn mcp_extension(&self) -> Option<&'static str> {
        (**self).mcp_extension()
    }

    fn proof_generator(&self) -> Option<Arc<ProofGenerator>> {
        (**self).proof_generator()
    }

    async fn token(&self) -> Result<AccessToken, Error> {
        (**self).token().await
    }

    async fn refresh_after_rejection(
        &self,
        refused: &AccessToken,
        challenge: &Challenge,
    ) -> Result<AccessToken, Error> {
        (**self).refresh_after_rejection(refused, challenge).await
    }
}
