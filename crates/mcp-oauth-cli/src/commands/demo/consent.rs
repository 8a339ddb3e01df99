//! The user of the demo: the real user in a browser, or the demo itself where there is no browser.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::platform::Interaction;
use mcp_oauth_testbed::test_user;
use url::Url;

use crate::{
    context::Context,
    terminal::{Terminal, launch},
    ui::Ui,
};

/// The timeout of a login where the user presses the button.
const USER_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// The timeout of a login where the demo presses the button itself.
const OWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Presses the buttons of the consent page.
pub(super) struct TestUser {
    ui: Ui,
    /// None where the demo presses them.
    terminal: Option<Terminal>,
    /// Is true if `--no-browser` was typed.
    no_browser: bool,
    /// The URLs that were opened, for the checks.
    opened: Mutex<Vec<Url>>,
}

impl TestUser {
    pub(super) fn new(context: &Context, browser: bool, no_browser: bool) -> Arc<Self> {
        let terminal = browser.then(|| Terminal::new(context.ui.clone(), true));
        Arc::new(Self {
            ui: context.ui.clone(),
            terminal,
            no_browser,
            opened: Mutex::default(),
        })
    }

    pub(super) fn introduction(&self) -> &'static str {
        match (&self.terminal, self.no_browser) {
            (Some(_), _) => "Your browser will ask you twice: press Approve there.",
            (None, true) => {
                "No browser, as you asked: the demo presses Approve on the consent page itself."
            }
            (None, false) => {
                "No display, so no browser: the demo presses Approve on the consent page itself."
            }
        }
    }

    /// Returns how long a login may take.
    pub(super) fn timeout(&self) -> Duration {
        if self.terminal.is_some() {
            USER_TIMEOUT
        } else {
            OWN_TIMEOUT
        }
    }

    /// Returns the URL that was opened last.
    pub(super) fn last_url(&self) -> Option<Url> {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last()
            .cloned()
    }

    /// Ends the display of a login.
    pub(super) fn rest(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.stop_waiting();
        }
    }
}

#[async_trait]
impl Interaction for TestUser {
    async fn open(&self, url: &Url) {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(url.clone());
        if let Some(terminal) = &self.terminal {
            terminal.show(url);
            if launch(url).await {
                return terminal.wait();
            }
            self.ui
                .say("No browser could be started: the demo presses Approve itself.");
        }
        // A page that cannot be approved ends the login by its timeout; this is the reason.
        if let Err(error) = test_user::approve(url).await {
            self.ui
                .warn(format_args!("the demo could not press Approve: {error}"));
        }
    }

    async fn callback(&self) -> String {
        match &self.terminal {
            Some(terminal) => terminal.callback().await,
            None => std::future::pending().await,
        }
    }
}
