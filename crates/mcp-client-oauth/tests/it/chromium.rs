//! A real browser: headless Chromium, driven by `chromedriver`.

use std::{process::Stdio, time::Duration};

use fantoccini::{Client as WebDriver, ClientBuilder, Locator};
#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use test_support::tool::is_skipped;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};
use url::Url;

/// The time until a page has an element. The machine of the test may be busy.
const PAGE_TIMEOUT: Duration = Duration::from_secs(30);

/// A browser with an empty profile. It is closed when this value is dropped.
pub(crate) struct Chromium {
    page: WebDriver,
    _driver: Child,
    _profile: TempDir,
}

/// Returns whether the browser tests run: the check script skips them where it finds no browser.
pub(crate) fn is_enabled() -> bool {
    !is_skipped(
        "MCP_OAUTH_TEST_BROWSER",
        "there is no chromium with chromedriver on PATH",
    )
}

/// The browser outlives its driver, so it is ended here.
#[cfg(unix)]
impl Drop for Chromium {
    fn drop(&mut self) {
        let capabilities = self.page.capabilities();
        let process = capabilities.and_then(|found| found.get("goog:processID")?.as_i64());
        let process = process.and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(process) = process {
            // The error is that it has ended already.
            let _ended = kill_process(process, Signal::KILL);
        }
    }
}

impl Chromium {
    pub(crate) async fn start() -> Self {
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

    pub(crate) async fn open(&self, url: &Url) {
        self.page.goto(url.as_str()).await.unwrap();
    }

    pub(crate) async fn back(&self) {
        self.page.back().await.unwrap();
    }

    pub(crate) async fn url(&self) -> Url {
        self.page.current_url().await.unwrap()
    }

    /// Waits until the page has the element of this `XPath`.
    pub(crate) async fn wait_for(&self, path: &str) {
        let wait = self.page.wait().at_most(PAGE_TIMEOUT);
        if let Err(error) = wait.for_element(Locator::XPath(path)).await {
            panic!("no {path}: {error}; the page is {}", self.text().await);
        }
    }

    /// Presses the button of this selector, as soon as the page has it.
    pub(crate) async fn press(&self, selector: &str) {
        let wait = self.page.wait().at_most(PAGE_TIMEOUT);
        let button = wait.for_element(Locator::Css(selector)).await.unwrap();
        button.click().await.unwrap();
    }

    /// Types a text into the field of this selector.
    pub(crate) async fn fill(&self, selector: &str, text: &str) {
        let field = self.page.find(Locator::Css(selector)).await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Returns the text of the page.
    pub(crate) async fn text(&self) -> String {
        let body = self.page.find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }
}
