//! Who vouches for others: the identity provider of an enterprise, and the issuer of workloads.

use serde_json::{Map, Value, json};

use crate::Testbed;
use crate::authorization_server::random;
use crate::builder::Settings;
use crate::jose::{Algorithm, KeyError, KeyPair, PublicKey};
use crate::world::World;

/// How long what is vouched for is good, in seconds.
pub(crate) const LIFETIME: u64 = 300;

/// The keys of those who vouch, as far as the settings have them.
#[derive(Debug)]
pub(crate) struct Identities {
    provider: Option<Voucher>,
    workloads: Option<Voucher>,
    /// What the identity provider has issued to its client beside an ID token.
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
        let public = pair.public()?;
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

    /// The key of the identity provider.
    pub(crate) fn provider(&self) -> &[PublicKey] {
        keys(self.provider.as_ref())
    }

    /// The key of the issuer of workloads.
    pub(crate) fn workloads(&self) -> &[PublicKey] {
        keys(self.workloads.as_ref())
    }

    /// The refresh token of the identity provider, for its client and the only user.
    pub(crate) fn refresh_token(&self) -> &str {
        &self.refresh_token
    }

    pub(crate) fn provider_jwks(&self) -> Value {
        let pair = self.provider.as_ref().map(|voucher| &voucher.pair);
        let keys: Vec<Value> = pair.map(KeyPair::public_jwk).into_iter().collect();
        json!({ "keys": keys })
    }

    /// A JWT of the identity provider.
    pub(crate) fn provided(&self, typ: &str, claims: &Value) -> Result<String, KeyError> {
        signed(self.provider.as_ref(), typ, claims)
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

/// The ways to come by what another party would vouch for.
impl Testbed {
    /// The issuer of the identity provider, as [`Builder::enterprise`](crate::Builder::enterprise)
    /// makes one.
    pub fn identity_provider(&self) -> Option<String> {
        let built = self.world.settings.enterprise.is_some();
        built.then(|| self.world.origins.identity_provider.clone())
    }

    /// An ID token of the identity provider for its client (OpenID Connect Core 1.0 §2), as a
    /// login there would yield it. Members of `other` replace its claims; `null` leaves one out.
    ///
    /// ```
    /// # use mcp_oauth_testbed::{Machine, Testbed};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Testbed::builder().client("app", Some("s3cret"));
    /// let builder = builder.enterprise(Machine::with_secret("app-at-idp", "t0p"), "app");
    /// let testbed = builder.start().await?;
    /// let good = testbed.id_token(&json!({}))?;
    /// let expired = testbed.id_token(&json!({ "exp": 1 }))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn id_token(&self, other: &Value) -> Result<String, KeyError> {
        let world = &self.world;
        let enterprise = world.settings.enterprise.as_ref();
        let audience = enterprise.map(|enterprise| enterprise.provider_client.id.clone());
        let issuer = &world.origins.identity_provider;
        let claims = claims(world, issuer, "alice@example.com", &json!(audience));
        world.identities.provided("JWT", &merged(claims, other))
    }

    /// The refresh token of the identity provider for its client and the same user: opaque, and good
    /// as long as the testbed.
    pub fn idp_refresh_token(&self) -> String {
        self.world.identities.refresh_token().to_owned()
    }

    /// A JWT of the workload issuer (`Builder::wif`), for this authorization server. Members of
    /// `other` replace its claims; `null` leaves one out.
    pub fn workload_jwt(&self, other: &Value) -> Result<String, KeyError> {
        let world = &self.world;
        let issuer = world.settings.wif.as_deref().unwrap_or_default();
        let subject = "spiffe://workload.example/agent";
        let claims = claims(world, issuer, subject, &json!(world.issuer()));
        let workloads = world.identities.workloads.as_ref();
        signed(workloads, "JWT", &merged(claims, other))
    }
}

/// What a JWT says that vouches for a subject, by the testbed's clock.
pub(crate) fn claims(world: &World, issuer: &str, subject: &str, audience: &Value) -> Value {
    let now = world.now().as_secs();
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "iat": now,
        "exp": now + LIFETIME,
        "jti": random("jti"),
    })
}

fn merged(mut claims: Value, other: &Value) -> Value {
    if let (Value::Object(claims), Value::Object(other)) = (&mut claims, other) {
        claims.extend(other.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}
