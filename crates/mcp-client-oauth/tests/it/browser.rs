//! The pages that a user sees, in a real browser: headless Chromium, driven by `chromedriver`.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, ServerUrl, TokenStore,
    error::AuthorizationError,
    platform::{Interaction, Platform, ReqwestClient, SystemClock},
};
use mcp_oauth_testbed::Testbed;
use tokio::sync::Mutex;
use url::Url;

use crate::chromium::{Chromium, is_enabled};

/// Presses one button in that browser.
struct ButtonPresser {
    chromium: Arc<Mutex<Chromium>>,
    button: &'static str,
}

#[async_trait]
impl Interaction for ButtonPresser {
    async fn open(&self, url: &Url) {
        let chromium = self.chromium.lock().await;
        chromium.open(url).await;
        chromium.press(self.button).await;
        chromium.wait_for("//h1[starts-with(., 'Access')]").await;
    }
}

/// Logs in with that button, and returns what the browser shows at the end.
async fn press(testbed: &Testbed, button: &'static str) -> (Result<(), Error>, String, Url) {
    let chromium = Arc::new(Mutex::new(Chromium::start().await));
    let user = ButtonPresser {
        chromium: Arc::clone(&chromium),
        button,
    };
    let http = Arc::new(ReqwestClient::default());
    let platform = Platform::new(http, Arc::new(SystemClock::default()), Arc::new(user));
    let client = Client::with_platform(platform, TokenStore::memory());
    let server: ServerUrl = testbed.server_url().as_str().parse().unwrap();
    let outcome = client.login(server).await.map(drop);
    let chromium = chromium.lock().await;
    (outcome, chromium.text().await, chromium.url().await)
}

#[tokio::test]
async fn approving_in_the_browser_ends_on_a_page_without_the_code() {
    if !is_enabled() {
        return;
    }
    let testbed = Testbed::start().await.unwrap();
    let (outcome, text, url) = press(&testbed, "#approve").await;
    outcome.unwrap();
    assert!(
        text.contains("Access granted") && text.contains("close this window"),
        "{text}"
    );
    assert_eq!(
        (url.path(), url.query()),
        ("/callback/done", None),
        "the code is not in the URL"
    );
    assert_eq!(testbed.token_requests("authorization_code"), 1);
}

#[tokio::test]
async fn denying_in_the_browser_ends_on_a_page_that_says_so() {
    if !is_enabled() {
        return;
    }
    let testbed = Testbed::start().await.unwrap();
    let (outcome, text, url) = press(&testbed, "#deny").await;
    let error = outcome.unwrap_err();
    assert!(
        matches!(error, Error::Authorization(AuthorizationError::Denied(_))),
        "{error}"
    );
    assert!(text.contains("Access was not granted"), "{text}");
    assert_eq!((url.path(), url.query()), ("/callback/denied", None));
    assert_eq!(testbed.token_requests("authorization_code"), 0);
}
