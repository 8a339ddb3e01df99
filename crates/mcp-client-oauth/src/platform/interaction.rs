//! The person.

use async_trait::async_trait;
use url::Url;

use super::{device_prompt::DevicePrompt, without_query::without_query};

/// The person at the keyboard.
#[async_trait]
pub trait Interaction: Send + Sync {
    /// Asks the person to visit `url` in a browser. It must show the URL too, because a browser
    /// that "opened" may be on a screen that nobody sees.
    async fn open(&self, url: &Url);

    /// Asks the person to enter a code on any device they like: they must see the code, the place
    /// and its host. The login goes on meanwhile, and drops the future when it ends first.
    ///
    /// The default can only open a URL: the one with the code in it where there is one. Where there
    /// is none it warns, because nobody sees the code.
    async fn show_code(&self, prompt: &DevicePrompt) {
        let complete = prompt.verification_uri_complete.as_ref();
        if complete.is_none() {
            let at = without_query(&prompt.verification_uri);
            tracing::warn!(%at, "this application has no way to show the code to enter there");
        }
        self.open(complete.unwrap_or(&prompt.verification_uri))
            .await;
    }

    /// Returns a redirect URL that reached us by another way than the loopback listener: pasted by the
    /// person (over SSH, the browser cannot reach our listener), or delivered by the operating
    /// system to an application with a custom URI scheme. The default never returns.
    ///
    /// The future may be dropped and asked for again at any time, so nothing that came in may be
    /// lost with it.
    async fn callback(&self) -> String {
        std::future::pending().await
    }
}
