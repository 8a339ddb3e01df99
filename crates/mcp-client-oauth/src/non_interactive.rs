//! Grants without a person: a client in its own name, a workload by its identity, a person by what
//! their organization's identity provider says. The source of an assertion is given by the caller each
//! time and is in no record, so that nobody who can write a record can have a file read or a program
//! run here.

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

/// Says how to get tokens without asking anybody.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum NonInteractiveGrant {
    /// The client in its own name, by its secret or its key (RFC 6749 §4.4, SEP-1046).
    ClientCredentials,
    /// A workload by the identity that its platform gives it (RFC 7523 §2.1, SEP-1933). It needs no
    /// client id.
    Workload {
        /// Says where the identity comes from.
        assertion: AssertionSource,
    },
    /// A person who has logged in to their organization: its identity provider vouches for them
    /// (SEP-990).
    Enterprise {
        /// Who vouches.
        idp: Box<IdentityProvider>,
    },
}

/// Names the grant of a login without a user, as its [`Record`](crate::store::Record) keeps it: what
/// the server knows and what is secret, and never the source of an assertion.
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

/// Keeps what a login by an identity provider needs beside its [`IdentityProvider`] where the caller
/// does not keep secrets.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordedIdentityProvider {
    /// The client at the identity provider, with its secret or key.
    pub client: RegisteredClient,
}

/// The identity provider of an organization, as the person named it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct IdentityProvider {
    /// Says where it exchanges tokens.
    pub token_endpoint: EndpointUrl,
    /// Who we are there.
    pub client: RegisteredClient,
    /// Says where the token comes from that says who the user is: an ID token, or what
    /// [`subject_token_type`](Self::subject_token_type) says.
    pub id_token: AssertionSource,
    /// The kind of that token.
    pub subject_token_type: SubjectTokenType,
}

/// The person named it, so it may be wherever they say; `https` all the same, but for loopback.
const IDP_REACH: AddressSpace = AddressSpace::Loopback;

impl IdentityProvider {
    /// Of a given issuer and token endpoint, where `client` is registered.
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
            token_endpoint: EndpointUrl::parse(token_endpoint, IDP_REACH)?,
            client: RegisteredClient::is_preregistered(client, issuer),
            id_token,
            subject_token_type: SubjectTokenType::IdToken,
        })
    }

    /// Returns the same identity provider for a user with a refresh token of it, which is read instead
    /// of an ID token. It lives longer, so that a session can log in again by itself for as long.
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

    /// Returns the MCP extension that describes it, for servers that want to know (spec-checklist J14).
    pub fn extension(&self) -> Option<&'static str> {
        extension(self.name())
    }

    /// Returns what a record keeps of it.
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

    /// Returns whether it presents an assertion, which comes from a source of the caller.
    pub(crate) fn presents_assertion(&self) -> bool {
        !matches!(self, Self::ClientCredentials)
    }

    /// Returns whether the authorization server need not know the client.
    pub(crate) fn does_without_client(&self) -> bool {
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

    /// Returns the grant to request tokens by once more: `given` by the caller, unless it needs no
    /// source.
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

/// Gets tokens, within `deadline`. One way is gone, once: what is refused is not tried otherwise
/// (spec-checklist J13).
pub(crate) async fn obtain(
    platform: &Platform,
    discovery: &Discovery,
    By { client, prover }: By<'_>,
    machine: &NonInteractiveGrant,
    scope: Option<&Scope>,
    deadline: Duration,
) -> Result<TokenSet, NonInteractiveGrantError> {
    let errand = GrantContext {
        platform,
        discovery,
        client,
        prover,
        scope,
        end: platform.clock.now() + deadline,
    };
    match machine {
        NonInteractiveGrant::ClientCredentials => errand.ask_in_own_name().await,
        NonInteractiveGrant::Workload { assertion } => {
            let assertion = errand.read(assertion).await?;
            errand.present(&assertion).await
        }
        NonInteractiveGrant::Enterprise { idp } => {
            if !discovery.metadata.supports_id_jag() {
                let issuer = discovery.issuer().clone();
                return Err(NonInteractiveGrantError::IdJagNotSupported(issuer));
            }
            let subject = errand.read_subject(idp).await?;
            let id_jag = errand.vouch(idp, &subject).await?;
            errand.present(&id_jag).await
        }
    }
}

/// Who asks for tokens, and by which key, if they are to be bound to one.
pub(crate) struct By<'a> {
    pub(crate) client: &'a ClientAuth<'a>,
    pub(crate) prover: Option<&'a ProofGenerator>,
}

struct GrantContext<'a> {
    platform: &'a Platform,
    discovery: &'a Discovery,
    client: &'a ClientAuth<'a>,
    prover: Option<&'a ProofGenerator>,
    scope: Option<&'a Scope>,
    end: SystemTime,
}

impl GrantContext<'_> {
    async fn ask_in_own_name(&self) -> Result<TokenSet, NonInteractiveGrantError> {
        if !self.client.is_confidential() {
            return Err(NonInteractiveGrantError::PublicClient {
                client_id: self.client.client_id.to_owned(),
                issuer: self.discovery.issuer().clone(),
            });
        }
        let client = self.client.with_time(self.platform.clock.now())?;
        let (endpoint, reach) = self.token_endpoint();
        let resource = self.discovery.resource_parameter();
        let request = |client: &ClientAuth<'_>| {
            client_credentials_request(endpoint, reach, client, resource, self.scope)
        };
        self.trade(request, &client, None).await
    }

    /// Returns the assertion goes to the token endpoint of the discovered server, and nowhere else.
    async fn present(&self, assertion: &Assertion) -> Result<TokenSet, NonInteractiveGrantError> {
        let client = self.client.with_time(self.platform.clock.now())?;
        let (endpoint, reach) = self.token_endpoint();
        let resource = self.discovery.resource_parameter();
        let request = |client: &ClientAuth<'_>| {
            assertion_request(endpoint, reach, client, resource, self.scope, assertion)
        };
        self.trade(request, &client, Some(assertion)).await
    }

    /// Asks the identity provider for an ID-JAG (spec-checklist J4).
    async fn vouch(
        &self,
        idp: &IdentityProvider,
        subject: &SubjectToken,
    ) -> Result<Assertion, NonInteractiveGrantError> {
        let client = idp.client.authenticate(None);
        let client = client.with_time(self.platform.clock.now())?;
        let request = |client: &ClientAuth<'_>| {
            token_exchange::request(
                &idp.token_endpoint,
                IDP_REACH,
                client,
                subject,
                self.discovery.issuer(),
                &self.discovery.resource,
                self.scope,
            )
        };
        let url = idp.token_endpoint.as_url().clone();
        // What it gives is no access token, and is bound to nothing.
        let answer = self.send(request, &client, None).await?;
        let secrets: Vec<&str> = client.secrets().chain([subject.expose()]).collect();
        token_exchange::response(&answer, &secrets)
            .map_err(|cause| NonInteractiveGrantError::IdentityProvider { url, cause })
    }

    async fn trade(
        &self,
        request: impl Fn(&ClientAuth<'_>) -> Request,
        client: &ClientAuth<'_>,
        assertion: Option<&Assertion>,
    ) -> Result<TokenSet, NonInteractiveGrantError> {
        let url: Url = self.discovery.metadata.token_endpoint.as_url().clone();
        let now = self.platform.clock.now();
        let answer = self.send(request, client, self.prover).await?;
        let answer = self.discovery.quirks.token_answer(answer);
        let assertion = assertion.map(Assertion::expose);
        let secrets: Vec<&str> = client.secrets().chain(assertion).collect();
        let (quirks, issuer) = (&self.discovery.quirks, self.discovery.issuer());
        quirks
            .tokens(issuer, &answer, now, &secrets, expected_scheme(self.prover))
            .map_err(|cause| NonInteractiveGrantError::Answer { url, cause })
    }

    async fn read(&self, source: &AssertionSource) -> Result<Assertion, NonInteractiveGrantError> {
        let text = source.read(&*self.platform.clock, self.left()).await?;
        let assertion = Assertion::parse(text.expose());
        Ok(assertion.ok_or_else(|| source.without(AssertionErrorKind::NotAJwt))?)
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
        Ok(subject.ok_or_else(|| source.without(cause))?)
    }

    async fn send(
        &self,
        request: impl Fn(&ClientAuth<'_>) -> Request,
        client: &ClientAuth<'_>,
        prover: Option<&ProofGenerator>,
    ) -> Result<Response, NonInteractiveGrantError> {
        let build = |client: &ClientAuth<'_>| {
            let mut request = request(client);
            request.deadline = request.deadline.min(self.left());
            request
        };
        let answer = token_request::send(self.platform, client, build, prover).await;
        answer.map_err(NonInteractiveGrantError::Http)
    }

    fn left(&self) -> Duration {
        let now = self.platform.clock.now();
        self.end.duration_since(now).unwrap_or_default()
    }

    fn token_endpoint(&self) -> (&EndpointUrl, AddressSpace) {
        let discovery = self.discovery;
        (&discovery.metadata.token_endpoint, discovery.reach)
    }
}
