//! Enterprise-managed authorization (SEP-990): the identity provider of an organization asserts the
//! identity of a user, by an ID-JAG that this client exchanges for tokens.

use async_trait::async_trait;

use super::{flow::NonInteractiveFlow, token_endpoint::NonInteractiveRequest};
use crate::{
    client_registration::{PreregisteredClient, RegisteredClient},
    error::{NonInteractiveGrantError, UrlPolicyError},
    platform::{AddressSpace, AssertionErrorKind, AssertionSource},
    proto::{
        assertion::Assertion,
        client_auth::ClientAuth,
        endpoint::EndpointUrl,
        server_metadata::Issuer,
        token::TokenSet,
        token_exchange::{self, SubjectToken, SubjectTokenType},
    },
    token_request,
};

pub(super) const NAME: &str = "enterprise";
pub(super) const EXTENSION: &str = "io.modelcontextprotocol/enterprise-managed-authorization";
/// The user named the identity provider, so it may be in any address space; `https` is required except
/// on loopback.
const IDP_ADDRESS_SPACE: AddressSpace = AddressSpace::Loopback;

/// The identity provider of an organization, as the user named it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IdentityProvider {
    /// Its token endpoint.
    pub token_endpoint: EndpointUrl,
    /// The client that is registered there.
    pub client: RegisteredClient,
    /// The source of the token that identifies the user: an ID token, or the token of
    /// [`with_refresh_token`](Self::with_refresh_token).
    pub id_token: AssertionSource,
    /// The type of that token.
    pub(crate) subject_token_type: SubjectTokenType,
}

impl IdentityProvider {
    /// Creates an identity provider from its issuer and token endpoint, where `client` is registered.
    ///
    /// # Errors
    /// [`UrlPolicyError`] if the endpoint is neither https nor on loopback.
    pub fn new(
        issuer: Issuer,
        token_endpoint: &str,
        client: &PreregisteredClient,
        id_token: AssertionSource,
    ) -> Result<Self, UrlPolicyError> {
        Ok(Self {
            token_endpoint: EndpointUrl::parse(token_endpoint, IDP_ADDRESS_SPACE)?,
            client: RegisteredClient::from_preregistered(client, issuer),
            id_token,
            subject_token_type: SubjectTokenType::IdToken,
        })
    }

    /// Returns the same identity provider, with a refresh token that it issued for the user instead of an ID
    /// token. It lives longer, so a session can get new tokens for a longer time without user interaction.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: AssertionSource) -> Self {
        self.id_token = refresh_token;
        self.subject_token_type = SubjectTokenType::RefreshToken;
        self
    }
}

pub(super) struct EnterpriseGrant<'a> {
    pub(super) idp: &'a IdentityProvider,
}

#[async_trait]
impl NonInteractiveFlow for EnterpriseGrant<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn extension(&self) -> Option<&'static str> {
        Some(EXTENSION)
    }

    async fn request_tokens(
        &self,
        request: &NonInteractiveRequest<'_>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let discovery = request.discovery;
        if !discovery.metadata.supports_id_jag() {
            let issuer = discovery.issuer().clone();
            return Err(NonInteractiveGrantError::IdJagNotSupported(issuer));
        }
        let subject = self.read_subject(request).await?;
        let id_jag = self.request_id_jag(request, &subject).await?;
        request.present(&id_jag).await
    }
}

impl EnterpriseGrant<'_> {
    async fn read_subject(
        &self,
        request: &NonInteractiveRequest<'_>,
    ) -> Result<SubjectToken, NonInteractiveGrantError> {
        let kind = self.idp.subject_token_type;
        let malformed = match kind {
            SubjectTokenType::RefreshToken => AssertionErrorKind::NotAToken,
            _ => AssertionErrorKind::NotAJwt,
        };
        let parse = |text: &str| SubjectToken::parse(text, kind);
        request.read(&self.idp.id_token, parse, malformed).await
    }

    /// Requests an ID-JAG from the identity provider, by token exchange (SEP-990, RFC 8693).
    async fn request_id_jag(
        &self,
        request: &NonInteractiveRequest<'_>,
        subject: &SubjectToken,
    ) -> Result<Assertion, NonInteractiveGrantError> {
        let (discovery, endpoint) = (request.discovery, &self.idp.token_endpoint);
        let client = self.idp.client.authenticate(None);
        let client = client.with_time(request.platform.clock.now())?;
        let message = request.within_deadline(|client: &ClientAuth<'_>| {
            token_exchange::request(
                endpoint,
                IDP_ADDRESS_SPACE,
                client,
                subject,
                discovery.issuer(),
                &discovery.resource,
                request.scope,
            )
        });
        // An ID-JAG is no access token, and is not bound to a key.
        let response = token_request::send(request.platform, &client, message, None)
            .await
            .map_err(NonInteractiveGrantError::Http)?;
        let secrets: Vec<&str> = client.secrets().chain([subject.expose()]).collect();
        token_exchange::response(&response, &secrets).map_err(|cause| {
            let url = endpoint.as_url().clone();
            NonInteractiveGrantError::IdentityProvider { url, cause }
        })
    }
}
