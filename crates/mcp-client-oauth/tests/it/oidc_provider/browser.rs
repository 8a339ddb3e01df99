//! A user with a browser who approves, and a user who enters the code of a device login.

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

/// A user with a browser who approves.
#[derive(Debug, Default)]
pub(super) struct Browser(tokio::sync::Mutex<FormBrowser>);

impl Browser {
    /// Follows redirects and submits forms to the last page, and returns the paths of the pages.
    async fn walk(&self, start: &Url) -> Vec<String> {
        // The forms of this server need only their hidden fields.
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

/// A user who enters the code during the second wait. No wait takes any time.
#[derive(Debug, Default)]
pub(super) struct CodeEntry {
    browser: Browser,
    prompt: Mutex<Option<DevicePrompt>>,
    waits: AtomicUsize,
    pages: Mutex<Vec<String>>,
}

impl CodeEntry {
    /// Returns the pages that the user went through.
    pub(super) fn pages(&self) -> Vec<String> {
        lock(&self.pages).clone()
    }
}

#[async_trait]
impl Clock for CodeEntry {
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
impl Interaction for CodeEntry {
    async fn open(&self, url: &Url) {
        panic!("{url} is opened, but there is a code to show");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        *lock(&self.prompt) = Some(prompt.clone());
    }
}
