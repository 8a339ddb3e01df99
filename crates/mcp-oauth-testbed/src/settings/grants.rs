//! Clients, keys and issuers of the grants beyond the authorization code.

use crate::jose::key::PublicKey;

/// Client authentication by a signed assertion (RFC 7523 §2.2), by its registered name.
pub(crate) const PRIVATE_KEY_JWT: &str = "private_key_jwt";

/// A client that speaks for itself, and authenticates.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(crate) id: String,
    pub(crate) secret: Option<String>,
    pub(crate) keys: Vec<PublicKey>,
    /// None for a secret that may come either way.
    pub(crate) method: Option<String>,
}

impl Machine {
    /// A client with a secret, which it may send by `client_secret_basic` or
    /// `client_secret_post`, unless [`Machine::auth_method`] says by which.
    pub fn with_secret(id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: Some(secret.into()),
            keys: Vec::new(),
            method: None,
        }
    }

    /// A client that signs its assertions with this key (`private_key_jwt`, RFC 7523 §2.2).
    pub fn with_key(id: impl Into<String>, key: PublicKey) -> Self {
        Self {
            id: id.into(),
            secret: None,
            keys: vec![key],
            method: Some(PRIVATE_KEY_JWT.to_owned()),
        }
    }

    /// The `token_endpoint_auth_method` that it must use.
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
    /// Proofs are not seen, and every token is a bearer token.
    #[default]
    Off,
    /// Who sends a proof gets a token that is bound to its key; who sends none, a bearer token.
    Offered,
    /// There are no tokens without a proof.
    Required,
}

/// An identity provider that vouches for the persons of an enterprise.
#[derive(Debug, Clone)]
pub(crate) struct Enterprise {
    /// The client as the identity provider knows it.
    pub(crate) provider_client: Machine,
    /// The client as the authorization server knows it.
    pub(crate) client_id: String,
}
