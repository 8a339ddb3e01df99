//! The grants beyond the authorization code: each is off until it is asked for.

use super::{Builder, PRIVATE_KEY_JWT};
use crate::jose::PublicKey;

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

impl Builder {
    /// A client that may use the client credentials grant (RFC 6749 §4.4) and the JWT bearer grant
    /// (RFC 7523 §2.1); call it again for another.
    ///
    /// ```
    /// use mcp_oauth_testbed::{Algorithm, KeyPair, Machine, Testbed};
    ///
    /// # fn main() -> Result<(), mcp_oauth_testbed::KeyError> {
    /// let pair = KeyPair::generate(Algorithm::Es256)?;
    /// let builder = Testbed::builder()
    ///     .machine(Machine::with_secret("robot", "s3cret"))
    ///     .machine(Machine::with_key("signer", pair.public()?));
    /// let for_the_client = pair.private_pem()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn machine(mut self, machine: Machine) -> Self {
        self.settings.machines.push(machine);
        self
    }
}
