//! The keys of the issuers of assertions: the identity provider of an enterprise, and the issuer of
//! workloads.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::jose::key::{Algorithm, KeyError, KeyPair, PublicKey};
use crate::random::random;
use crate::settings::Settings;

/// The lifetime of an assertion, in seconds.
pub(crate) const LIFETIME: u64 = 300;

/// The keys of the issuers that the settings configure.
#[derive(Debug)]
pub(crate) struct Identities {
    provider: Option<Signer>,
    workloads: Option<Signer>,
    /// The refresh token that the identity provider issued to its client together with an ID token.
    refresh_token: String,
}

/// A key pair that signs assertions, and its public key.
#[derive(Debug)]
struct Signer {
    pair: KeyPair,
    public: PublicKey,
}

impl Signer {
    fn new() -> Result<Self, KeyError> {
        let pair = KeyPair::generate(Algorithm::Es256)?;
        let public = pair.public();
        Ok(Self { pair, public })
    }
}

impl Identities {
    pub(crate) fn new(settings: &Settings) -> Result<Self, KeyError> {
        let provider = settings.enterprise.as_ref().map(|_| Signer::new());
        let workloads = settings.workload_issuer.as_ref().map(|_| Signer::new());
        Ok(Self {
            provider: provider.transpose()?,
            workloads: workloads.transpose()?,
            refresh_token: random("idp-refresh"),
        })
    }

    /// Returns the key of the identity provider.
    pub(crate) fn provider(&self) -> &[PublicKey] {
        keys(self.provider.as_ref())
    }

    /// Returns the key of the issuer of workloads.
    pub(crate) fn workloads(&self) -> &[PublicKey] {
        keys(self.workloads.as_ref())
    }

    /// Returns the refresh token of the identity provider, for its client and the only user.
    pub(crate) fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    pub(crate) fn provider_jwks(&self) -> Value {
        let pair = self.provider.as_ref().map(|signer| &signer.pair);
        let keys: Vec<Value> = pair.map(KeyPair::public_jwk).into_iter().collect();
        json!({ "keys": keys })
    }

    /// Signs a JWT of the identity provider.
    pub(crate) fn sign_provider_jwt(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        signed(self.provider.as_ref(), typ, claims)
    }

    /// Signs a JWT of the issuer of workloads.
    pub(crate) fn sign_workload_jwt(&self, claims: &Value) -> Result<String, KeyError> {
        signed(self.workloads.as_ref(), "JWT", claims)
    }
}

fn keys(signer: Option<&Signer>) -> &[PublicKey] {
    signer.map_or(&[], |signer| std::slice::from_ref(&signer.public))
}

fn signed(signer: Option<&Signer>, typ: &str, claims: &Value) -> Result<String, KeyError> {
    let signer = signer.ok_or(KeyError::Absent)?;
    let header = Map::from_iter([("typ".to_owned(), json!(typ))]);
    signer.pair.jwt(header, claims)
}

/// Returns the claims of an assertion for a subject; `now` is the time of the testbed's clock.
pub(crate) fn claims(now: Duration, issuer: &str, subject: &str, audience: &Value) -> Value {
    let now = now.as_secs();
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": random("jti"),
    })
}
