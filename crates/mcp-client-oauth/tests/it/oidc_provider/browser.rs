//! A person with a browser, who approves, and one who enters a code that is shown.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mcp_client_oauth::platform::{Clock, DevicePrompt, Interaction, SystemClock};
use test_support::form_browser::{Consent, Decision, FormBrowser};
use url::Url;

use crate::support::lock;

/// A person with a browser, who approves.
#[derive(Debug, Default)]
pub(super) struct Browser(tokio::sync::Mutex<FormBrowser>);

impl Browser {
    /// Goes where it is sent, until a page leads no further; the paths of the pages that were
    /// shown.
    async fn walk(&self, start: &Url) -> Vec<String> {
        // Its forms need no more than their hidden fields.
        let consent = Consent::default();
        let mut browser = self.0.lock().await;
        let walk = browser.walk(start.clone(), Some(&consent), Decision::Approve);
        walk.await.unwrap()
    }
}

#[async_trait]
impl Interaction for Browser {
    async fn open(&self, url: &Url) {
        self.walk(url).await;
    }
}

/// A person who is shown a code, and enters it during the second wait. No wait takes any time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    browser: Browser,
    prompt: Mutex<Option<DevicePrompt>>,
    waits: AtomicUsize,
    pages: Mutex<Vec<String>>,
}

impl Watch {
    /// The pages that the person went through.
    pub(super) fn pages(&self) -> Vec<String> {
        lock(&self.pages).clone()
    }
}

#[async_trait]
impl Clock for Watch {
    fn now(&self) -> SystemTime {
        SystemClock::default().now()
    }

    async fn sleep(&self, _: Duration) {
        if self.waits.fetch_add(1, Ordering::Relaxed) == 1 {
            let prompt = lock(&self.prompt).clone().unwrap();
            let complete = prompt.verification_uri_complete.unwrap();
            let pages = self.browser.walk(&complete).await;
            *lock(&self.pages) = pages;
        }
    }
}

#[async_trait]
impl Interaction for Watch {
    async fn open(&self, url: &Url) {
        panic!("{url} is opened, but there is a code to show");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        *lock(&self.prompt) = Some(prompt.clone());
    }
}
