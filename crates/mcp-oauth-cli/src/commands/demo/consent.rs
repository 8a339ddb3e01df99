//! The person of the demo: whoever sits here, in their own browser; or the demo itself, where there
//! is no browser.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{grant::LOGIN_TIMEOUT, platform::Interaction};
use mcp_oauth_testbed::test_user;
use url::Url;

use crate::{
    context::Context,
    terminal::{Terminal, launch},
    ui::Ui,
};

/// Says how long the demo may need to press a button.
const OWN_TIMEOUT: Duration = Duration::from_secs(20);

/// Who presses the buttons of the consent page.
pub(super) struct TestUser {
    ui: Ui,
    /// None where the demo does it.
    terminal: Option<Terminal>,
    /// Says whether it was told to.
    asked_for: bool,
    /// The URLs that were opened, for what is proved of them.
    opened: Mutex<Vec<Url>>,
}

impl TestUser {
    pub(super) fn new(context: &Context, browser: bool, asked_for: bool) -> Arc<Self> {
        let terminal = browser.then(|| Terminal::new(context.ui.clone(), true));
        Arc::new(Self {
            ui: context.ui.clone(),
            terminal,
            asked_for,
            opened: Mutex::default(),
        })
    }

    pub(super) fn introduction(&self) -> &'static str {
        match (&self.terminal, self.asked_for) {
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
            LOGIN_TIMEOUT
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

    /// The login is over.
    pub(super) fn rest(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.rest();
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
        // A page that cannot be approved ends the login by its timeout, and here is why.
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
