//! Client credentials (RFC 6749 §4.4, SEP-1046): the client requests tokens for itself.

use async_trait::async_trait;

use super::{flow::NonInteractiveFlow, token_endpoint::NonInteractiveRequest};
use crate::{
    error::NonInteractiveGrantError,
    proto::{assertion::client_credentials_request, client_auth::ClientAuth, token::TokenSet},
};

pub(super) const NAME: &str = "client_credentials";
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/oauth-client-credentials";

pub(super) struct ClientCredentialsGrant;

#[async_trait]
impl NonInteractiveFlow for ClientCredentialsGrant {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extension(&self) -> Option<&'static str> {
        Some(EXTENSION)
    }

    fn presents_assertion(&self) -> bool {
        false
    }

    async fn request_tokens(
        &self,
        request: &NonInteractiveRequest<'_>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let discovery = request.discovery;
        if !request.client.is_confidential() {
            return Err(NonInteractiveGrantError::PublicClient {
                client_id: request.client.client_id.to_owned(),
                issuer: discovery.issuer().clone(),
            });
        }
        let endpoint = &discovery.metadata.token_endpoint;
        let (address_space, scope) = (discovery.address_space, request.scope);
        let resource = discovery.resource_parameter();
        let message = |client: &ClientAuth<'_>| {
            client_credentials_request(endpoint, address_space, client, resource, scope)
        };
        request.send(message, None).await
    }
}
