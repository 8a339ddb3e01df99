//! Who vouches for others: the identity provider of an enterprise, and the issuer of workloads.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::jose::key::{Algorithm, KeyError, KeyPair, PublicKey};
use crate::random::random;
use crate::settings::Settings;

/// Says how long what is vouched for is good, in seconds.
pub(crate) const LIFETIME: u64 = 300;

/// The keys of those who vouch, as far as the settings have them.
#[derive(Debug)]
pub(crate) struct Identities {
    provider: Option<Voucher>,
    workloads: Option<Voucher>,
    /// Holds what the identity provider has issued to its client beside an ID token.
    refresh_token: String,
}

/// A key pair that vouches, and its public key.
#[derive(Debug)]
struct Voucher {
    pair: KeyPair,
    public: PublicKey,
}

impl Voucher {
    fn new() -> Result<Self, KeyError> {
        let pair = KeyPair::generate(Algorithm::Es256)?;
        let public = pair.public();
        Ok(Self { pair, public })
    }
}

impl Identities {
    pub(crate) fn new(settings: &Settings) -> Result<Self, KeyError> {
        let provider = settings.enterprise.as_ref().map(|_| Voucher::new());
        let workloads = settings.wif.as_ref().map(|_| Voucher::new());
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
        let pair = self.provider.as_ref().map(|voucher| &voucher.pair);
        let keys: Vec<Value> = pair.map(KeyPair::public_jwk).into_iter().collect();
        json!({ "keys": keys })
    }

    /// Returns a JWT of the identity provider.
    pub(crate) fn provided(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        signed(self.provider.as_ref(), typ, claims)
    }

    /// Signs a JWT of the issuer of workloads.
    pub(crate) fn workload_jwt(&self, claims: &Value) -> Result<String, KeyError> {
        signed(self.workloads.as_ref(), "JWT", claims)
    }
}

fn keys(voucher: Option<&Voucher>) -> &[PublicKey] {
    voucher.map_or(&[], |voucher| std::slice::from_ref(&voucher.public))
}

fn signed(voucher: Option<&Voucher>, typ: &str, claims: &Value) -> Result<String, KeyError> {
    let voucher = voucher.ok_or(KeyError::Absent)?;
    let header = Map::from_iter([("typ".to_owned(), json!(typ))]);
    voucher.pair.jwt(header, claims)
}

/// Returns what a JWT says that vouches for a subject; `now` is the time of the testbed's clock.
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
