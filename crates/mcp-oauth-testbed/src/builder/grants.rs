//! The grants other than the authorization code; each is off by default.

use std::time::Duration;

use super::Builder;
use crate::request_log::Peer;
use crate::settings::grants::{ConfidentialClient, DpopPolicy, Enterprise};

impl Builder {
    /// Adds a client that may use the client credentials grant (RFC 6749 §4.4) and the JWT bearer
    /// grant (RFC 7523 §2.1); call it again to add another.
    ///
    /// ```
    /// use mcp_oauth_testbed::{Algorithm, ConfidentialClient, KeyPair, Testbed};
    ///
    /// # fn main() -> Result<(), mcp_oauth_testbed::KeyError> {
    /// let pair = KeyPair::generate(Algorithm::Es256)?;
    /// let builder = Testbed::builder()
    ///     .confidential_client(ConfidentialClient::with_secret("robot", "s3cret"))
    ///     .confidential_client(ConfidentialClient::with_key("signer", pair.public()));
    /// let for_the_client = pair.private_pem();
    /// # Ok(())
    /// # }
    /// ```
    pub fn confidential_client(mut self, client: ConfidentialClient) -> Self {
        self.settings.confidential_clients.push(client);
        self
    }

    /// Sets whether the device authorization grant is supported (RFC 8628); off by default.
    pub fn device_authorization(mut self, on: bool) -> Self {
        self.settings.device_authorization = on;
        self
    }

    /// Sets the lifetime of a device code; ten minutes by default.
    pub fn device_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.device_lifetime = lifetime;
        self
    }

    /// Sets the time between two polls, by the testbed's clock; five seconds by default. With zero no
    /// poll is too fast, even if [`Fault::DeviceField`](crate::Fault::DeviceField) announces another
    /// interval.
    pub fn device_interval(mut self, interval: Duration) -> Self {
        self.settings.device_interval = interval;
        self
    }

    /// Sets whether tokens are bound to keys (RFC 9449); off by default. Both servers check the proof.
    pub fn dpop(mut self, policy: DpopPolicy) -> Self {
        self.settings.dpop = policy;
        self
    }

    /// Makes one of the two servers require a nonce in each proof (RFC 9449 §8 and §9); call it again
    /// for the other. A nonce is valid until [`Testbed::renew_dpop_nonces`].
    ///
    /// [`Testbed::renew_dpop_nonces`]: crate::Testbed::renew_dpop_nonces
    pub fn dpop_nonces_at(mut self, peer: Peer) -> Self {
        self.settings.dpop_nonces.push(peer);
        self
    }

    /// Sets the workload issuer that the authorization server trusts (RFC 7523 §2.1).
    /// [`Testbed::workload_jwt`](crate::Testbed::workload_jwt) signs its JWTs.
    pub fn workload_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.settings.workload_issuer = Some(issuer.into());
        self
    }

    /// Adds an identity provider, a third server. It exchanges the ID tokens of its client
    /// `provider_client` for ID-JAGs, which the authorization server accepts from its client
    /// `client_id`: one of [`Builder::client`], [`Builder::confidential_client`] or a metadata document.
    pub fn enterprise(
        mut self,
        provider_client: ConfidentialClient,
        client_id: impl Into<String>,
    ) -> Self {
        self.settings.enterprise = Some(Enterprise {
            provider_client,
            client_id: client_id.into(),
        });
        self
    }
}
