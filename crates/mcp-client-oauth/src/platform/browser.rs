//! The person's own browser.

use async_trait::async_trait;
use url::Url;

use super::Interaction;

/// Opens the system's browser, and logs the URL for the case that it opened where nobody looks.
///
/// No shell is involved: the opener gets the re-serialised URL as one argument (H28). `$BROWSER`
/// is honoured.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Browser;

impl Browser {
    /// Opens `url`; whether something was started. "Yes" does not mean that a person sees it.
    pub async fn launch(url: &Url) -> bool {
        let text = url.as_str().to_owned();
        // The opener may wait for a text browser to end.
        let opened = tokio::task::spawn_blocking(move || webbrowser::open(&text)).await;
        matches!(opened, Ok(Ok(())))
    }
}

#[async_trait]
impl Interaction for Browser {
    async fn open(&self, url: &Url) {
        tracing::info!(target: "mcp_client_oauth::browser", %url, "open this URL to log in");
        if !Self::launch(url).await {
            tracing::warn!("no browser could be started; open the URL by hand");
        }
    }
}
