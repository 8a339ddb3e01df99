//! The assertions that a test gets from the parties which issue them.

use serde_json::{Value, json};

use super::Testbed;
use crate::identities::claims;
use crate::jose::key::KeyError;

/// The ways to come by what another party would vouch for.
impl Testbed {
    /// Returns the issuer of the identity provider, as [`Builder::enterprise`](crate::Builder::enterprise)
    /// makes one.
    pub fn identity_provider(&self) -> Option<String> {
        let built = self.world.settings.enterprise.is_some();
        built.then(|| self.world.origins.identity_provider.clone())
    }

    /// Returns an ID token of the identity provider for its client (OpenID Connect Core 1.0 §2), as a
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
        let claims = claims(world.now(), issuer, "alice@example.com", &json!(audience));
        world.identities.provided("JWT", &merged(claims, other))
    }

    /// Returns the refresh token of the identity provider for its client and the same user: opaque, and good
    /// as long as the testbed.
    pub fn idp_refresh_token(&self) -> String {
        self.world.identities.refresh_token().to_owned()
    }

    /// Returns a JWT of the workload issuer (`Builder::wif`), for this authorization server. Members of
    /// `other` replace its claims; `null` leaves one out.
    pub fn workload_jwt(&self, other: &Value) -> Result<String, KeyError> {
        let world = &self.world;
        let issuer = world.settings.wif.as_deref().unwrap_or_default();
        let subject = "spiffe://workload.example/agent";
        let claims = claims(world.now(), issuer, subject, &json!(world.issuer()));
        world.identities.workload_jwt(&merged(claims, other))
    }
}

fn merged(mut claims: Value, other: &Value) -> Value {
    if let (Value::Object(claims), Value::Object(other)) = (&mut claims, other) {
        claims.extend(other.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}
