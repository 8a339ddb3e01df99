//! A login that asks a person, by the way that fits.

use mcp_client_oauth::{
    Error, LoginOptions, ServerUrl, Session, Sessions, TokenStore,
    error::{AuthorizationError, RegistrationError},
    grant::Redirect,
    login,
    platform::Platform,
};

use super::DEVICE_CODE;

/// A login that is under way.
pub(crate) struct Asking<'a> {
    pub(crate) platform: &'a Platform,
    pub(crate) store: &'a TokenStore,
    pub(crate) url: &'a ServerUrl,
    /// Whether a login that is good already does not do.
    pub(crate) anew: bool,
}

impl Asking<'_> {
    /// By whichever way fits, where nothing else was asked for.
    pub(crate) async fn ask_as_it_fits(
        &self,
        options: &LoginOptions,
        browser: bool,
        no_browser: bool,
    ) -> Result<Session, Error> {
        let may_choose = options.grant.is_none()
            && options.machine.is_none()
            && matches!(options.redirect, Redirect::AnyPort);
        if may_choose && !browser && !no_browser {
            self.ask_without_browser(options).await
        } else {
            self.ask(options).await
        }
    }

    async fn ask(&self, options: &LoginOptions) -> Result<Session, Error> {
        if self.anew {
            return login(self.platform, self.store, self.url, options).await;
        }
        Sessions::new(self.platform.clone(), self.store.clone())
            .ensure(self.url, options)
            .await
    }

    /// By a code for another device if the server gives one to us, else by the browser that the
    /// person has somewhere.
    async fn ask_without_browser(&self, options: &LoginOptions) -> Result<Session, Error> {
        let mut by_code = options.clone();
        by_code.preferred_grant = Some(DEVICE_CODE.to_owned());
        match self.ask(&by_code).await {
            // It is offered, and cannot be had.
            Err(
                Error::Registration(RegistrationError::Answer { .. })
                | Error::Authorization(AuthorizationError::Device { .. }),
            ) => self.ask(options).await,
            other => other,
        }
    }
}
