//! A login, with the grant that fits the machine.

use mcp_client_oauth::{
    Client, Ensured, Error, LoginOptions, ServerUrl, TokenStore, grant::RedirectTarget, login,
    platform::Platform,
};

/// The name of the device grant in the library.
pub(crate) const DEVICE_CODE: &str = "device_code";

/// A login in progress.
pub(crate) struct LoginFlow<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) store: &'a TokenStore,
    pub(crate) url: &'a ServerUrl,
    /// Says whether to log in again even if there is a valid login.
    pub(crate) force: bool,
}

impl LoginFlow<'_> {
    /// Logs in, with the grant that fits the machine.
    pub(crate) async fn run(
        &self,
        options: &LoginOptions,
        browser: bool,
        no_browser: bool,
    ) -> Result<Ensured, Error> {
        let options = with_fitting_grant(options, browser, no_browser);
        if self.force {
            let session = login(self.platform, self.store, self.url, &options).await?;
            return Ok(Ensured::LoggedIn(session));
        }
        Client::new(self.platform.clone(), self.store.clone())
            .ensure_or_reuse(self.url, &options)
            .await
    }
}

/// Returns the options of a login with the grant that fits the machine. If no grant is requested and no
/// browser can be opened here, the device grant is preferred where the server supports it; else the URL is
/// shown for a browser elsewhere.
pub(crate) fn with_fitting_grant(
    options: &LoginOptions,
    browser: bool,
    no_browser: bool,
) -> LoginOptions {
    let is_open = options.grant.is_none()
        && options.non_interactive.is_none()
        && matches!(options.redirect, RedirectTarget::AnyPort);
    let mut options = options.clone();
    if is_open && !browser && !no_browser {
        options.preferred_grant = Some(DEVICE_CODE.to_owned());
    }
    options
}
