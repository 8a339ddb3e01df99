//! The assertions that a test gets from their issuers.

use serde_json::{Value, json};

use super::Testbed;
use crate::identities::claims;
use crate::jose::key::KeyError;

/// Assertions that another server would issue.
impl Testbed {
    /// Returns the issuer of the identity provider, if [`Builder::enterprise`](crate::Builder::enterprise)
    /// added one.
    pub fn identity_provider(&self) -> Option<String> {
        let built = self.state.settings.enterprise.is_some();
        built.then(|| self.state.origins.identity_provider.clone())
    }

    /// Returns an ID token of the identity provider for its client (OpenID Connect Core 1.0 §2), as after a
    /// login there. Members of `other` replace its claims; `null` leaves one out.
    ///
    /// ```
    /// # use mcp_oauth_testbed::{ConfidentialClient, Testbed};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let builder = Testbed::builder().client("app", Some("s3cret"));
    /// let builder = builder.enterprise(ConfidentialClient::with_secret("app-at-idp", "t0p"), "app");
    /// let testbed = builder.start().await?;
    /// let good = testbed.id_token(&json!({}))?;
    /// let expired = testbed.id_token(&json!({ "exp": 1 }))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn id_token(&self, other: &Value) -> Result<String, KeyError> {
        let state = &self.state;
        let enterprise = state.settings.enterprise.as_ref();
        let audience = enterprise.map(|enterprise| enterprise.provider_client.id.clone());
        let issuer = &state.origins.identity_provider;
        let claims = claims(state.now(), issuer, "alice@example.com", &json!(audience));
        state
            .identities
            .sign_provider_jwt("JWT", &merged(claims, other))
    }

    /// Returns the refresh token of the identity provider for its client and the same user. It is opaque
    /// and does not expire.
    pub fn idp_refresh_token(&self) -> String {
        self.state.identities.refresh_token().to_owned()
    }

    /// Returns a JWT of the workload issuer ([`Builder::workload_issuer`](crate::Builder::workload_issuer))
    /// for this authorization server. Members of `other` replace its claims; `null` leaves one out.
    pub fn workload_jwt(&self, other: &Value) -> Result<String, KeyError> {
        let state = &self.state;
        let issuer = state
            .settings
            .workload_issuer
            .as_deref()
            .unwrap_or_default();
        let subject = "spiffe://workload.example/agent";
        let claims = claims(state.now(), issuer, subject, &json!(state.issuer()));
        state.identities.sign_workload_jwt(&merged(claims, other))
    }
}

fn merged(mut claims: Value, other: &Value) -> Value {
    if let (Value::Object(claims), Value::Object(other)) = (&mut claims, other) {
        claims.extend(other.clone());
        claims.retain(|_, value| !value.is_null());
    }
    claims
}
