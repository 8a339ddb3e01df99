//! The pages that a user sees, in a real browser: headless Chromium, driven by `chromedriver`.

use std::{process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use fantoccini::{Client as WebDriver, ClientBuilder, Locator};
use mcp_client_oauth::{
    Client, Error, ServerUrl, TokenStore,
    error::AuthorizationError,
    platform::{Interaction, Platform, ReqwestClient, SystemClock},
};
use mcp_oauth_testbed::Testbed;
use serde_json::json;
use tempfile::TempDir;
use test_support::tool::is_skipped;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::Mutex,
};
use url::Url;

/// A browser with an empty profile. It is closed when this value is dropped.
struct Chromium {
    page: WebDriver,
    _driver: Child,
    _profile: TempDir,
}

/// Returns whether the browser tests run: the check script skips them where it finds no browser.
fn is_enabled() -> bool {
    !is_skipped(
        "MCP_OAUTH_TEST_BROWSER",
        "there is no chromium with chromedriver on PATH",
    )
}

impl Chromium {
    async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is on PATH");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("chromedriver names its port");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let page = Self::connect(&port, &profile).await;
        Self {
            page,
            _driver: driver,
            _profile: profile,
        }
    }

    async fn connect(port: &str, profile: &TempDir) -> WebDriver {
        let data = format!("--user-data-dir={}", profile.path().display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &data,
        ];
        let options = json!({"goog:chromeOptions": {"args": arguments}});
        let capabilities = options.as_object().unwrap().clone();
        ClientBuilder::rustls()
            .unwrap()
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap()
    }

    async fn text(&self) -> String {
        self.page
            .find(Locator::Css("body"))
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }
}

/// Presses one button in that browser.
struct ButtonPresser {
    chromium: Arc<Mutex<Chromium>>,
    button: &'static str,
}

#[async_trait]
impl Interaction for ButtonPresser {
    async fn open(&self, url: &Url) {
        let chromium = self.chromium.lock().await;
        chromium.page.goto(url.as_str()).await.unwrap();
        let button = Locator::Css(self.button);
        chromium
            .page
            .find(button)
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
        let end = Duration::from_secs(10);
        let heading = Locator::XPath("//h1[starts-with(., 'Access')]");
        chromium
            .page
            .wait()
            .at_most(end)
            .for_element(heading)
            .await
            .unwrap();
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
    let shown = (
        chromium.text().await,
        chromium.page.current_url().await.unwrap(),
    );
    (outcome, shown.0, shown.1)
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
