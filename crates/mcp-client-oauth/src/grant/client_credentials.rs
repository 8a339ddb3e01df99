//! Client credentials (RFC 6749 §4.4, SEP-1046): the client requests tokens for itself.

use async_trait::async_trait;

use super::request::{Grant, GrantRequest};
use crate::{
    error::Error, non_interactive::NonInteractiveGrant, platform::Platform, proto::token::TokenSet,
};

pub(super) struct ClientCredentialsGrant;

#[async_trait]
impl Grant for ClientCredentialsGrant {
    fn name(&self) -> &'static str {
        "client_credentials"
    }

    fn fits(&self, request: &GrantRequest<'_>) -> bool {
        matches!(
            request.non_interactive,
            Some(NonInteractiveGrant::ClientCredentials)
        )
    }

    async fn request_tokens(
        &self,
        platform: &Platform,
        request: GrantRequest<'_>,
    ) -> Result<TokenSet, Error> {
        request.request_non_interactive_tokens(platform).await
    }
}
