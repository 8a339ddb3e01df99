//! The interfaces to the outside, as three small traits: network, time and user interaction (storage is
//! in [`store`](crate::store)).

use std::{fmt, sync::Arc};

mod address_policy;
mod assertion;
mod body;
#[cfg(feature = "browser")]
mod browser;
mod clock;
mod device_prompt;
mod http_client;
mod http_error;
mod interaction;
#[cfg_attr(
    not(all(feature = "reqwest", feature = "browser")),
    allow(dead_code, reason = "the builder of a client needs these features")
)]
mod public_networks;
mod rate_limit;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest")]
mod reqwest_error;
#[cfg(feature = "reqwest")]
mod resolver;
#[cfg(feature = "browser")]
mod terminal;
#[cfg(feature = "reqwest")]
mod tls;
mod without_query;

pub use address_policy::{AddressSpace, UrlPolicyError};
pub use assertion::{AssertionError, AssertionErrorKind, AssertionSource, SECRET_VARIABLES};
pub use body::Body;
#[cfg(feature = "browser")]
pub use browser::Browser;
pub use clock::{Clock, SystemClock};
pub use device_prompt::DevicePrompt;
pub use http_client::{HttpClient, Request, Response};
pub(crate) use http_client::{METADATA_DEADLINE, TOKEN_DEADLINE};
pub use http_error::{HttpError, HttpErrorKind};
pub use interaction::Interaction;
#[cfg(feature = "browser")]
pub use terminal::Terminal;

use self::rate_limit::RateLimiter;
#[cfg(feature = "mcp")]
pub(crate) use self::reqwest_error::cause_of;
#[cfg(feature = "reqwest")]
pub use self::{reqwest::ReqwestClient, resolver::Resolver};

/// The interfaces that a login needs. Cloning shares them.
#[derive(Clone)]
#[non_exhaustive]
pub struct Platform {
    /// The HTTP client.
    pub http: Arc<dyn HttpClient>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The interaction with the user.
    pub interaction: Arc<dyn Interaction>,
    /// Limits the concurrent token requests to an issuer.
    pub(crate) rate_limiter: RateLimiter,
    /// Says whether requests to the server itself are limited to public addresses too.
    is_public_only: bool,
}

/// A platform of reqwest, the system clock and the user's browser. The HTTP client is built and its TLS roots
/// are read by the first request.
#[cfg(all(feature = "reqwest", feature = "browser"))]
impl Default for Platform {
    fn default() -> Self {
        Self::new(
            Arc::new(ReqwestClient::default()),
            Arc::new(SystemClock),
            Arc::new(Browser::default()),
        )
    }
}

impl Platform {
    /// Creates a platform of the given parts.
    pub fn new(
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
        interaction: Arc<dyn Interaction>,
    ) -> Self {
        Self {
            http,
            clock,
            interaction,
            rate_limiter: RateLimiter::default(),
            is_public_only: false,
        }
    }

    /// Replaces the interaction with the user.
    #[must_use]
    pub(crate) fn with_interaction(mut self, interaction: Arc<dyn Interaction>) -> Self {
        self.interaction = interaction;
        self
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
