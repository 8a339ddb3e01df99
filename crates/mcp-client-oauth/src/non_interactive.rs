//! Non-interactive grants: client credentials, workload identity, and enterprise-managed authorization
//! by the identity provider of an organization. The caller passes the source of an assertion each time,
//! and no record holds it: write access to a record must not be enough to read a file or run a program
//! on this host.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    client_registration::{PreregisteredClient, RegisteredClient},
    discovery::Discovery,
    dpop::{ProofGenerator, expected_scheme},
    error::{NonInteractiveGrantError, UrlPolicyError},
    platform::{AddressSpace, AssertionErrorKind, AssertionSource, Platform, Request, Response},
    proto::{
        assertion::{Assertion, assertion_request, client_credentials_request},
        client_auth::ClientAuth,
        endpoint::EndpointUrl,
        scope::Scope,
        server_metadata::Issuer,
        token::TokenSet,
        token_exchange::{self, SubjectToken, SubjectTokenType},
    },
    token_request,
};

/// A grant that gets tokens without user interaction.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NonInteractiveGrant {
    /// Client credentials: the client authenticates by its secret or its key (RFC 6749 §4.4, SEP-1046).
    ClientCredentials,
    /// Workload identity: the assertion that the platform issues to a workload (RFC 7523 §2.1,
    /// SEP-1933). It needs no client id.
    Workload {
        /// The source of the assertion.
        assertion: AssertionSource,
    },
    /// Enterprise-managed authorization: the identity provider of an organization asserts the identity
    /// of a user who has logged in there (SEP-990).
    Enterprise {
        /// The identity provider.
        idp: Box<IdentityProvider>,
    },
}

/// The grant of a non-interactive login, as its [`Record`](crate::store::Record) keeps it: its name,
/// the client and its secrets, and never the source of an assertion.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RecordedGrant {
    /// [`NonInteractiveGrant::ClientCredentials`].
    ClientCredentials,
    /// [`NonInteractiveGrant::Workload`]. Versions up to 3 kept the source, which is ignored.
    Workload {},
    /// [`NonInteractiveGrant::Enterprise`].
    Enterprise {
        /// The identity provider. Versions up to 3 kept the source here, which is ignored.
        idp: Box<RecordedIdentityProvider>,
    },
}

/// The part of an [`IdentityProvider`] that a record keeps for the next login: the client there, with its
/// secret or key, so that the caller need not keep these.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedIdentityProvider {
    /// The client at the identity provider, with its secret or key.
    pub client: RegisteredClient,
}

/// The identity provider of an organization, as the user named it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IdentityProvider {
    /// Its token endpoint.
    pub token_endpoint: EndpointUrl,
    /// The client that is registered there.
    pub client: RegisteredClient,
    /// The source of the token that identifies the user: an ID token, or one of
    /// [`subject_token_type`](Self::subject_token_type).
    pub id_token: AssertionSource,
    /// The type of that token.
    pub subject_token_type: SubjectTokenType,
}

/// The user named the identity provider, so it may be in any address space; `https` is required except
/// on loopback.
const IDP_ADDRESS_SPACE: AddressSpace = AddressSpace::Loopback;

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

impl NonInteractiveGrant {
    /// Returns the name of the grant.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::Workload { .. } => WORKLOAD,
            Self::Enterprise { .. } => ENTERPRISE,
        }
    }

    /// Returns the MCP extension that describes it, which a client declares in `_meta`.
    pub fn extension(&self) -> Option<&'static str> {
        extension(self.name())
    }

    /// Returns the part that a record keeps.
    pub(crate) fn recorded(&self) -> RecordedGrant {
        match self {
            Self::ClientCredentials => RecordedGrant::ClientCredentials,
            Self::Workload { .. } => RecordedGrant::Workload {},
            Self::Enterprise { idp } => RecordedGrant::Enterprise {
                idp: Box::new(RecordedIdentityProvider {
                    client: idp.client.clone(),
                }),
            },
        }
    }

    /// Returns whether it sends an assertion, from a source that the caller passes.
    pub(crate) fn presents_assertion(&self) -> bool {
        !matches!(self, Self::ClientCredentials)
    }

    /// Returns whether it needs no client id (RFC 7521 §4.1).
    pub(crate) fn needs_no_client_id(&self) -> bool {
        matches!(self, Self::Workload { .. })
    }
}

impl RecordedGrant {
    /// Returns the name of the grant, as [`NonInteractiveGrant::name`] does.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::Workload {} => WORKLOAD,
            Self::Enterprise { .. } => ENTERPRISE,
        }
    }

    /// Returns the MCP extension that describes it, as [`NonInteractiveGrant::extension`] does.
    pub fn extension(&self) -> Option<&'static str> {
        extension(self.name())
    }

    /// Returns the grant for the next token request: the one `given` by the caller, unless the recorded grant
    /// needs no source.
    pub(crate) fn with_source<'a>(
        &self,
        given: Option<&'a NonInteractiveGrant>,
    ) -> Result<&'a NonInteractiveGrant, NonInteractiveGrantError> {
        match (self, given) {
            (Self::ClientCredentials, _) => Ok(&NonInteractiveGrant::ClientCredentials),
            (_, Some(given)) if given.name() == self.name() => Ok(given),
            _ => Err(NonInteractiveGrantError::SourceRequired(self.name())),
        }
    }
}

const CLIENT_CREDENTIALS: &str = "client_credentials";
const WORKLOAD: &str = "workload";
const ENTERPRISE: &str = "enterprise";

fn extension(name: &str) -> Option<&'static str> {
    match name {
        CLIENT_CREDENTIALS => Some("io.modelcontextprotocol/oauth-client-credentials"),
        ENTERPRISE => Some("io.modelcontextprotocol/enterprise-managed-authorization"),
        _ => None,
    }
}

/// Requests tokens by one grant, within `deadline`. A refused assertion is not sent again (SEP-990,
/// SEP-1933).
pub(crate) async fn request_tokens(
    platform: &Platform,
    discovery: &Discovery,
    Requester {
        client,
        proof_generator,
    }: Requester<'_>,
    grant: &NonInteractiveGrant,
    scope: Option<&Scope>,
    deadline: Duration,
) -> Result<TokenSet, NonInteractiveGrantError> {
    let context = GrantContext {
        platform,
        discovery,
        client,
        proof_generator,
        scope,
        end: platform.clock.now() + deadline,
    };
    match grant {
        NonInteractiveGrant::ClientCredentials => context.request_for_client().await,
        NonInteractiveGrant::Workload { assertion } => {
            let assertion = context.read(assertion).await?;
            context.present(&assertion).await
        }
        NonInteractiveGrant::Enterprise { idp } => {
            if !discovery.metadata.supports_id_jag() {
                let issuer = discovery.issuer().clone();
                return Err(NonInteractiveGrantError::IdJagNotSupported(issuer));
            }
            let subject = context.read_subject(idp).await?;
            let id_jag = context.request_id_jag(idp, &subject).await?;
            context.present(&id_jag).await
        }
    }
}

/// The client that requests tokens, and the generator of its proofs if the tokens are to be bound to a key.
pub(crate) struct Requester<'a> {
    pub(crate) client: &'a ClientAuth<'a>,
    pub(crate) proof_generator: Option<&'a ProofGenerator>,
}

struct GrantContext<'a> {
    platform: &'a Platform,
    discovery: &'a Discovery,
    client: &'a ClientAuth<'a>,
    proof_generator: Option<&'a ProofGenerator>,
    scope: Option<&'a Scope>,
    end: SystemTime,
}

impl GrantContext<'_> {
    async fn request_for_client(&self) -> Result<TokenSet, NonInteractiveGrantError> {
        if !self.client.is_confidential() {
            return Err(NonInteractiveGrantError::PublicClient {
                client_id: self.client.client_id.to_owned(),
                issuer: self.discovery.issuer().clone(),
            });
        }
        let client = self.client.with_time(self.platform.clock.now())?;
        let (endpoint, address_space) = self.token_endpoint();
        let resource = self.discovery.resource_parameter();
        let request = |client: &ClientAuth<'_>| {
            client_credentials_request(endpoint, address_space, client, resource, self.scope)
        };
        self.send_and_read(request, &client, None).await
    }

    /// Sends the assertion to the token endpoint of the discovered server, and to no other URL.
    async fn present(&self, assertion: &Assertion) -> Result<TokenSet, NonInteractiveGrantError> {
        let client = self.client.with_time(self.platform.clock.now())?;
        let (endpoint, address_space) = self.token_endpoint();
        let resource = self.discovery.resource_parameter();
        let request = |client: &ClientAuth<'_>| {
            assertion_request(
                endpoint,
                address_space,
                client,
                resource,
                self.scope,
                assertion,
            )
        };
        self.send_and_read(request, &client, Some(assertion)).await
    }

    /// Requests an ID-JAG from the identity provider, by token exchange (SEP-990, RFC 8693).
    async fn request_id_jag(
        &self,
        idp: &IdentityProvider,
        subject: &SubjectToken,
    ) -> Result<Assertion, NonInteractiveGrantError> {
        let client = idp.client.authenticate(None);
        let client = client.with_time(self.platform.clock.now())?;
        let request = |client: &ClientAuth<'_>| {
            token_exchange::request(
                &idp.token_endpoint,
                IDP_ADDRESS_SPACE,
                client,
                subject,
                self.discovery.issuer(),
                &self.discovery.resource,
                self.scope,
            )
        };
        let url = idp.token_endpoint.as_url().clone();
        // An ID-JAG is no access token, and is not bound to a key.
        let response = self.send(request, &client, None).await?;
        let secrets: Vec<&str> = client.secrets().chain([subject.expose()]).collect();
        token_exchange::response(&response, &secrets)
            .map_err(|cause| NonInteractiveGrantError::IdentityProvider { url, cause })
    }

    async fn send_and_read(
        &self,
        request: impl Fn(&ClientAuth<'_>) -> Request,
        client: &ClientAuth<'_>,
        assertion: Option<&Assertion>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let url: Url = self.discovery.metadata.token_endpoint.as_url().clone();
        let now = self.platform.clock.now();
        let response = self.send(request, client, self.proof_generator).await?;
        let response = self.discovery.quirks.token_response(response);
        let assertion = assertion.map(Assertion::expose);
        let secrets: Vec<&str> = client.secrets().chain(assertion).collect();
        let (quirks, issuer) = (&self.discovery.quirks, self.discovery.issuer());
        quirks
            .tokens(
                issuer,
                &response,
                now,
                &secrets,
                expected_scheme(self.proof_generator),
            )
            .map_err(|cause| NonInteractiveGrantError::Response { url, cause })
    }

    async fn read(&self, source: &AssertionSource) -> Result<Assertion, NonInteractiveGrantError> {
        let text = source.read(&*self.platform.clock, self.left()).await?;
        let assertion = Assertion::parse(text.expose());
        Ok(assertion.ok_or_else(|| source.error(AssertionErrorKind::NotAJwt))?)
    }

    async fn read_subject(
        &self,
        idp: &IdentityProvider,
    ) -> Result<SubjectToken, NonInteractiveGrantError> {
        let source = &idp.id_token;
        let text = source.read(&*self.platform.clock, self.left()).await?;
        let subject = SubjectToken::parse(text.expose(), idp.subject_token_type);
        let cause = match idp.subject_token_type {
            SubjectTokenType::RefreshToken => AssertionErrorKind::NotAToken,
            _ => AssertionErrorKind::NotAJwt,
        };
        Ok(subject.ok_or_else(|| source.error(cause))?)
    }

    async fn send(
        &self,
        request: impl Fn(&ClientAuth<'_>) -> Request,
        client: &ClientAuth<'_>,
        proof_generator: Option<&ProofGenerator>,
    ) -> Result<Response, NonInteractiveGrantError> {
        let build = |client: &ClientAuth<'_>| {
            let mut request = request(client);
            request.deadline = request.deadline.min(self.left());
            request
        };
        let response = token_request::send(self.platform, client, build, proof_generator).await;
        response.map_err(NonInteractiveGrantError::Http)
    }

    fn left(&self) -> Duration {
        let now = self.platform.clock.now();
        self.end.duration_since(now).unwrap_or_default()
    }

    fn token_endpoint(&self) -> (&EndpointUrl, AddressSpace) {
        let discovery = self.discovery;
        (&discovery.metadata.token_endpoint, discovery.address_space)
    }
}
