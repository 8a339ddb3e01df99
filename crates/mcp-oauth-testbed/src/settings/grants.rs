//! Clients, keys and issuers of the grants other than the authorization code.

use crate::jose::key::PublicKey;

/// Client authentication by a signed assertion (RFC 7523 §2.2), by its registered name.
pub(crate) const PRIVATE_KEY_JWT: &str = "private_key_jwt";

/// A client with credentials of its own, for the client credentials and JWT bearer grants.
#[derive(Debug, Clone)]
pub struct ConfidentialClient {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) keys: Vec<PublicKey>,
    /// `None` for a secret that may be sent by either method.
    pub(crate) method: Option<String>,
}

impl ConfidentialClient {
    /// Creates a client with a secret, which it may send by `client_secret_basic` or
    /// `client_secret_post`, unless [`ConfidentialClient::auth_method`] selects one.
    pub fn with_secret(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: Some(secret.into()),
            keys: Vec::new(),
            method: None,
        }
    }

    /// Creates a client that signs its assertions with this key (`private_key_jwt`, RFC 7523 §2.2).
    pub fn with_key(id: impl Into<String>, key: PublicKey) -> Self {
        Self {
            id: id.into(),
            secret: None,
            keys: vec![key],
            method: Some(PRIVATE_KEY_JWT.to_owned()),
        }
    }

    /// Sets the `token_endpoint_auth_method` that it must use.
    #[must_use]
    pub fn auth_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }
}

/// Says whether tokens are bound to keys (RFC 9449).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DpopPolicy {
    /// Proofs are ignored, and every token is a bearer token.
    #[default]
    Off,
    /// A client that sends a proof gets a token that is bound to its key; others get a bearer token.
    Offered,
    /// Token requests without a proof are refused.
    Required,
}

/// The identity provider of an enterprise, which issues ID-JAGs for its users.
#[derive(Debug, Clone)]
pub(crate) struct Enterprise {
    /// The client at the identity provider.
    pub(crate) provider_client: ConfidentialClient,
    /// The client ID at the authorization server.
    pub(crate) client_id: String,
}
