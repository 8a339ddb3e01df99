//! The grants beyond the authorization code: each is off until it is asked for.

use std::time::Duration;

use super::Builder;
use crate::request_log::Peer;
use crate::settings::grants::{DpopPolicy, Enterprise, Machine};

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
    ///     .machine(Machine::with_key("signer", pair.public()));
    /// let for_the_client = pair.private_pem();
    /// # Ok(())
    /// # }
    /// ```
    pub fn machine(mut self, machine: Machine) -> Self {
        self.settings.machines.push(machine);
        self
    }

    /// Returns whether devices may ask a person who is elsewhere (RFC 8628); off by default.
    pub fn device_authorization(mut self, on: bool) -> Self {
        self.settings.device_authorization = on;
        self
    }

    /// Returns how long a device code is good; ten minutes by default.
    pub fn device_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.device_lifetime = lifetime;
        self
    }

    /// The seconds between two polls, by the testbed's clock; five by default. With zero no poll is
    /// too fast, whatever [`Fault::DeviceField`](crate::Fault::DeviceField) makes the answer say.
    pub fn device_interval(mut self, interval: Duration) -> Self {
        self.settings.device_interval = interval;
        self
    }

    /// Returns whether tokens are bound to keys; off by default. The proof is looked at by both servers.
    pub fn dpop(mut self, policy: DpopPolicy) -> Self {
        self.settings.dpop = policy;
        self
    }

    /// One of the two servers wants a nonce in each proof (RFC 9449 §8 and §9); call it again for
    /// the other. A nonce is good until [`Testbed::renew_dpop_nonces`].
    ///
    /// [`Testbed::renew_dpop_nonces`]: crate::Testbed::renew_dpop_nonces
    pub fn dpop_nonces_at(mut self, party: Peer) -> Self {
        self.settings.dpop_nonces.push(party);
        self
    }

    /// The issuer of workloads that the authorization server trusts (RFC 7523 §2.1). Its JWTs come
    /// from [`Testbed::workload_jwt`](crate::Testbed::workload_jwt).
    pub fn wif(mut self, issuer: impl Into<String>) -> Self {
        self.settings.wif = Some(issuer.into());
        self
    }

    /// An identity provider, a third server, that exchanges the ID tokens of its client
    /// `provider_client` for ID-JAGs, which the authorization server takes from its own client
    /// `client_id`: one of [`Builder::client`], [`Builder::machine`] or a metadata document.
    pub fn enterprise(mut self, provider_client: Machine, client_id: impl Into<String>) -> Self {
        self.settings.enterprise = Some(Enterprise {
            provider_client,
            client_id: client_id.into(),
        });
        self
    }
}
