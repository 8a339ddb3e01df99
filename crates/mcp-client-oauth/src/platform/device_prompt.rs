//! What a person is shown to authorize us on another device.

use std::{fmt, time::SystemTime};

use url::Url;

use super::without_query::without_query;

/// A code, and where to enter it (RFC 8628 §3.3).
///
/// All of it came from the authorization server: the URIs were checked against the network policy,
/// and the text of the code can be written to a terminal as it is.
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
///         if prompt.is_elsewhere {
///             println!("This is not the host of the authorization server:");
///         }
///         println!("Enter {} at {}", prompt.user_code, prompt.verification_uri);
///     }
/// }
/// ```
///
/// It is shown by a login whose [`LoginOptions::grant`](crate::LoginOptions) is `device_code`.
#[derive(Clone, Eq, PartialEq)]
#[non_exhaustive]
pub struct DevicePrompt {
    /// Holds what the person enters, with all but visible ASCII escaped.
    pub user_code: String,
    /// Says where. Its host is to be shown plainly.
    pub verification_uri: Url,
    /// The same place with the code in it, for a link or a QR code. The person still compares the
    /// code with the one that the page shows (RFC 8628 §3.3.1).
    pub verification_uri_complete: Option<Url>,
    /// Until when; afterwards the login is over.
    pub expires_at: SystemTime,
    /// Says whether the person is sent to another host than that of the issuer. Then a page that asks to
    /// confirm the code may be somebody else's, and the person is to be warned (H175).
    pub is_elsewhere: bool,
}

impl DevicePrompt {
    /// A prompt of given parts, at the host of the issuer.
    pub fn new(
        user_code: impl Into<String>,
        verification_uri: Url,
        expires_at: SystemTime,
    ) -> Self {
        Self {
            user_code: user_code.into(),
            verification_uri,
            verification_uri_complete: None,
            expires_at,
            is_elsewhere: false,
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
            .field("is_elsewhere", &self.is_elsewhere)
            .finish_non_exhaustive()
    }
}
