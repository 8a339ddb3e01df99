//! Step-by-step control of a login, for a caller that stores its own tokens, shows its own progress, or has
//! some of the results already. [`Client::login`](crate::Client::login) runs all steps.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_client_oauth::{ServerUrl, flow, platform::Platform, store::Record};
//!
//! let platform = Platform::default();
//! let server: ServerUrl = "https://mcp.example.com/mcp".parse()?;
//! let redirect_uri = "https://app.example.com/callback".parse()?;
//!
//! let discovery = flow::discover(&platform, &server, &flow::DiscoveryOptions::default()).await?;
//! let options = flow::IdentityOptions::default();
//! let identity =
//!     flow::identify(&platform, &discovery, &options, None, Some(&redirect_uri)).await?;
//! let (url, pending) =
//!     flow::authorization_url(&discovery, &identity, &redirect_uri, None, None)?;
//! println!("open {url}");
//!
//! # let callback = url;
//! let code = pending.accept(&callback)?;                       // checks `state` and `iss`
//! let tokens = flow::exchange(&platform, &discovery, &identity, &code, None).await?;
//! let mut record = Record::new(discovery, identity, None, tokens);
//! record.tokens = flow::refresh(&platform, &record).await?;
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use url::Url;

pub use crate::{
    client_registration::{
        ClientIdentity, IdentityOptions, PreregisteredClient, RegisteredClient,
        client_metadata_document, identify,
    },
    discovery::{Discovery, DiscoveryOptions, DiscoverySource, discover},
    dpop::ProofGenerator,
    grant::RecordedGrant,
    login::pending::BegunLogin,
    logout::revoke,
    proto::{
        challenge::Challenge,
        client_auth::AuthMethod,
        dpop::DpopKey,
        endpoint::EndpointUrl,
        private_key::PrivateKey,
        resource_metadata::Resource,
        revocation::TokenTypeHint,
        scope::Scope,
        server_metadata::{Issuer, ServerMetadata},
        token::{AccessToken, AuthScheme, TokenSet},
    },
    quirks::{IssuerAlias, Quirks, ResourceParameter},
    stored_session::refresh,
};
use crate::{
    error::{Error, RegistrationError},
    grant::{self, GrantRequest},
    platform::Platform,
    proto::authorization::{AuthorizationCode, PendingAuthorization},
};

/// Returns the URL where the user authorizes the client (RFC 6749 §4.1.1, with PKCE), and what is needed to
/// check its callback. Without a `scope`, the one that the server suggests is requested. With a
/// `proof_generator` the code is bound to its key (RFC 9449 §10).
///
/// # Errors
/// [`RegistrationError::IssuerMismatch`] if `identity` belongs to another issuer;
/// [`DiscoveryError`](crate::error::DiscoveryError) if the server does not support PKCE.
pub fn authorization_url(
    discovery: &Discovery,
    identity: &ClientIdentity,
    redirect_uri: &Url,
    scope: Option<&Scope>,
    proof_generator: Option<&Arc<ProofGenerator>>,
) -> Result<(Url, PendingAuthorization), Error> {
    discovery.require_pkce()?;
    let request = GrantRequest::new(discovery, identity, scope)?
        .with_proof_generator(proof_generator.map(Arc::clone));
    grant::authorization_url(&request, redirect_uri)
}

/// Exchanges a code for tokens (RFC 6749 §4.1.3), naming the resource again (RFC 8707 §2.2). With a
/// `proof_generator` they are bound to its key (RFC 9449 §5).
///
/// # Errors
/// [`Error::TokenExchange`] with the response of the server, or [`Error::Http`].
pub async fn exchange(
    platform: &Platform,
    discovery: &Discovery,
    identity: &ClientIdentity,
    code: &AuthorizationCode,
    proof_generator: Option<&ProofGenerator>,
) -> Result<TokenSet, Error> {
    let client = identity.authenticate(&discovery.metadata);
    let client = client.ok_or_else(|| RegistrationError::NoClient(discovery.issuer().clone()))?;
    grant::exchange(platform, discovery, &client, code, proof_generator).await
}
