//! A login that asks a person, by the way that fits.

use mcp_client_oauth::{
    Client, Ensured, Error, LoginOptions, ServerUrl, TokenStore, grant::RedirectTarget, login,
    platform::Platform,
};

/// Holds what the library calls the grant that shows a code.
pub(crate) const DEVICE_CODE: &str = "device_code";

/// A login that is under way.
pub(crate) struct LoginFlow<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) store: &'a TokenStore,
    pub(crate) url: &'a ServerUrl,
    /// Says whether a login that is good already does not do.
    pub(crate) anew: bool,
}

impl LoginFlow<'_> {
    /// By whichever way fits, where nothing else was asked for: without a browser here a code for
    /// another device if the server gives one to us, else the browser that the person has somewhere.
    pub(crate) async fn ask_as_it_fits(
        &self,
        options: &LoginOptions,
        browser: bool,
        no_browser: bool,
    ) -> Result<Ensured, Error> {
        let is_open = options.grant.is_none()
            && options.machine.is_none()
            && matches!(options.redirect, RedirectTarget::AnyPort);
        let mut options = options.clone();
        if is_open && !browser && !no_browser {
            options.preferred_grant = Some(DEVICE_CODE.to_owned());
        }
        if self.anew {
            let session = login(self.platform, self.store, self.url, &options).await?;
            return Ok(Ensured::LoggedIn(session));
        }
        Client::new(self.platform.clone(), self.store.clone())
            .ensure_or_reuse(self.url, &options)
            .await
    }
}
