//! The interaction with the user.

use std::sync::Arc;

use async_trait::async_trait;
use url::Url;

use super::{device_prompt::DevicePrompt, without_query::without_query};

/// The interaction with the user.
#[async_trait]
pub trait Interaction: Send + Sync {
    /// Opens `url` in a browser. An implementation must show the URL too, because the browser may have
    /// opened on a screen that the user does not see.
    async fn open(&self, url: &Url);

    /// Shows a code that the user enters on any device. An implementation must show the code, the URL and
    /// its host. The login continues meanwhile, and drops the future when it ends first.
    ///
    /// The default implementation opens the URL with the code in it, if there is one. Otherwise it opens
    /// the URL and logs a warning, because the user does not see the code.
    async fn show_code(&self, prompt: &DevicePrompt) {
        let complete = prompt.verification_uri_complete.as_ref();
        if complete.is_none() {
            let at = without_query(&prompt.verification_uri);
            tracing::warn!(%at, "this application cannot show the code that the user enters there");
        }
        self.open(complete.unwrap_or(&prompt.verification_uri))
            .await;
    }

    /// Returns a redirect URL that did not arrive at the loopback listener: pasted by the user (over SSH,
    /// the browser cannot reach the listener), or delivered by the operating system to an application
    /// with a custom URI scheme. The default implementation never returns.
    ///
    /// The future may be dropped and created again at any time, so dropping it must not lose a URL.
    async fn callback(&self) -> String {
        std::future::pending().await
    }
}

#[async_trait]
impl<T: Interaction + ?Sized> Interaction for Arc<T> {
    async fn open(&self, url: &Url) {
        (**self).open(url).await;
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        (**self).show_code(prompt).await;
    }

    async fn callback(&self) -> String {
        (**self).callback().await
    }
}
