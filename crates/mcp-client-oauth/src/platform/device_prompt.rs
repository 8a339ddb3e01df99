//! The prompt of a device login.

use std::{fmt, time::SystemTime};

use url::Url;

use super::without_query::without_query;

/// A user code, and the URL where the user enters it (RFC 8628 §3.3).
///
/// All of it comes from the authorization server. The URIs were checked against the address policy, and
/// the code is safe to write to a terminal.
///
/// ```
/// use async_trait::async_trait;
/// use mcp_client_oauth::platform::{DevicePrompt, Interaction};
/// use url::Url;
///
/// struct Terminal;
///
/// #[async_trait]
/// impl Interaction for Terminal {
///     async fn open(&self, url: &Url) {
///         println!("Open {url}");
///     }
///
///     async fn show_code(&self, prompt: &DevicePrompt) {
///         if prompt.is_third_party_host {
///             println!("This is not the host of the authorization server:");
///         }
///         println!("Enter {} at {}", prompt.user_code, prompt.verification_uri);
///     }
/// }
/// ```
///
/// A login with the grant `device_code` ([`Grant::DeviceCode`](crate::Grant::DeviceCode)) shows it.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct DevicePrompt {
    /// The code, with everything but visible ASCII escaped.
    pub user_code: String,
    /// The URL where the user enters the code. Show its host clearly.
    pub verification_uri: Url,
    /// The same URL with the code in it, for a link or a QR code. The user still compares the code with the
    /// one on the page (RFC 8628 §3.3.1).
    pub verification_uri_complete: Option<Url>,
    /// The time when the code expires and the login fails.
    pub expires_at: SystemTime,
    /// Says whether the host of the URL differs from the issuer's. Then the page may be an attacker's that
    /// asks to confirm the code, so warn the user (RFC 8628 §5.4).
    pub is_third_party_host: bool,
}

impl DevicePrompt {
    /// Creates a prompt at the host of the issuer.
    pub(crate) fn new(
        user_code: impl Into<String>,
        verification_uri: Url,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            user_code: user_code.into(),
            verification_uri,
            verification_uri_complete: None,
            expires_at,
            is_third_party_host: false,
        }
    }
}

impl fmt::Debug for DevicePrompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevicePrompt")
            .field(
                "verification_uri",
                &without_query(&self.verification_uri).as_str(),
            )
            .field("expires_at", &self.expires_at)
            .field("is_third_party_host", &self.is_third_party_host)
            .finish_non_exhaustive()
    }
}
