//! The interaction of a login in the background: it tells the connection what the user has to open, and lets
//! the host open it, unless the client does.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use mcp_client_oauth::platform::{DevicePrompt, Interaction};
use url::Url;

use super::{
    login_state::Opener,
    state::{Inner, ServerConnection},
};
use crate::{
    host::UserBrowser,
    login_page::{LoginPage, LoginTarget},
};

/// Shows the login to the user by the interaction of the host, or to the client in its responses.
pub(super) struct LoginNotifier {
    of_host: Arc<dyn Interaction>,
    /// The session of the login keeps this value, and the connection keeps the session.
    connection: Weak<Inner>,
}

impl LoginNotifier {
    pub(super) fn new(connection: &ServerConnection) -> Self {
        Self {
            of_host: Arc::clone(&connection.platform().interaction),
            connection: Arc::downgrade(&connection.0),
        }
    }

    /// Records the target. Returns whether the host opens it.
    fn record(&self, target: LoginTarget) -> bool {
        let Some(connection) = self.connection.upgrade().map(ServerConnection) else {
            return true;
        };
        let has_page = connection.host().user_browser() != UserBrowser::Remote;
        let page = has_page.then(|| LoginPage::open(target.clone()));
        let page = page.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot serve the page that leads to the login");
            None
        });
        let now = connection.platform().clock.now();
        let mut is_of_host = true;
        connection.0.login.send_modify(|login| {
            is_of_host = login.opener != Some(Opener::Client);
            login.opened_at = is_of_host.then_some(now);
            login.target = Some(target);
            login.page = page;
            login.text = None;
            login.elicited = None;
        });
        is_of_host
    }
}

#[async_trait]
impl Interaction for LoginNotifier {
    async fn open(&self, url: &Url) {
        if self.record(LoginTarget::Browser(url.clone())) {
            self.of_host.open(url).await;
        }
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        if self.record(LoginTarget::Device(prompt.clone())) {
            self.of_host.show_code(prompt).await;
        }
    }

    async fn callback(&self) -> String {
        self.of_host.callback().await
    }
}
