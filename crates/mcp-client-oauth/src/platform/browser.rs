//! The person's own browser.

use async_trait::async_trait;
use url::Url;

use super::{Interaction, without_query};

/// Opens the system's browser. It has nowhere to show the URL: an application with a terminal or a
/// window shows it by an [`Interaction`] of its own, for the browser may open where nobody looks.
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
        // Without the query: `state` is nobody's business.
        let at = without_query(url);
        if Self::launch(url).await {
            tracing::info!(%at, "the browser is asked to open the login page");
        } else {
            tracing::warn!(%at, "no browser could be started for the login page");
        }
    }
}
