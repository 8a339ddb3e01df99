//! Opens the session, and responds to `initialize` if the server does not.

use std::{sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use serde_json::value::RawValue;

use super::state::{Inner, LoginMode};
use crate::{
    connection::Opener,
    elicitation::is_declared_by,
    error::ProxyError,
    jsonrpc::{Message, SERVER_ERROR, error_response},
    response::reconnect_delay,
};

/// The time that a client waits for the server's response to `initialize` before the proxy responds itself.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(2);
const INITIALIZE_TIMEOUT_WITH_LOGIN: Duration = Duration::from_secs(10);

impl Inner {
    /// Returns the response to `initialize`, and whether the proxy built it because the server is
    /// unreachable.
    pub(super) async fn initialize(&self, request: &Message, raw_id: &RawValue) -> (Bytes, bool) {
        let limit = if self.connection.has_session() {
            INITIALIZE_TIMEOUT_WITH_LOGIN
        } else {
            INITIALIZE_TIMEOUT
        };
        let response = tokio::select! {
            response = self.upstream.initialize(request) => response.map_err(|error| (error, false)),
            () = self.connection.platform().clock.sleep(limit) => {
                Err((ProxyError::Other("the server has not responded yet".to_owned()), true))
            }
        };
        let mut capabilities = self.capabilities.lock().await;
        match response {
            Ok(response) => {
                capabilities.remember_initialize(&response);
                self.record_elicitation(request);
                (response, false)
            }
            Err((error, is_late)) => {
                let is_away = is_late || !capabilities.is_empty() && error.is_unreachable();
                if is_away || matches!(error, ProxyError::LoginRequired) {
                    let needs_login = matches!(error, ProxyError::LoginRequired);
                    self.upstream.go_offline(error);
                    self.record_elicitation(request);
                    let mode = self.login_mode(request);
                    let instructions = needs_login.then(|| self.login_instructions(mode));
                    let greeting =
                        capabilities.initialize_response(request, raw_id, instructions.as_deref());
                    return (greeting, is_away);
                }
                self.upstream.reset();
                (
                    error_response(
                        Some(raw_id),
                        SERVER_ERROR,
                        &self.connection.host().describe(&error),
                        None,
                    ),
                    false,
                )
            }
        }
    }

    /// Records whether the client accepts requests to open a URL. Otherwise a login that waits for such a
    /// request is opened by the host.
    fn record_elicitation(&self, request: &Message) {
        let elicits = is_declared_by(request);
        self.elicits.store(elicits, Ordering::Relaxed);
        self.connection.set_opens_by_client(elicits);
        if !elicits && self.connection.is_login_pending() {
            self.connection.request_start(Opener::Host);
        }
    }

    /// Opens a session for a client that the proxy has responded to itself, as soon as the server is
    /// reachable and logged in to, and notifies the client that the lists have changed.
    pub(super) async fn open_deferred(&self) {
        let mut logins = self.connection.logins();
        let _one = self.opening.lock().await;
        if self.upstream.is_open() {
            return;
        }
        for attempt in 0.. {
            match self.upstream.open_deferred().await {
                Ok(response) => {
                    let mut capabilities = self.capabilities.lock().await;
                    capabilities.remember_initialize(&response);
                    for change in capabilities.list_changed_notifications() {
                        self.forwarder.out.write_line(change).await;
                    }
                    return;
                }
                // `reconnect` continues after the login, unless the login has ended in the meantime.
                Err(error @ ProxyError::LoginRequired)
                    if !logins.has_changed().unwrap_or_default() =>
                {
                    return self.upstream.go_offline(error);
                }
                Err(error) => self.upstream.go_offline(error),
            }
            tokio::select! {
                () = self.connection.platform().clock.sleep(reconnect_delay(None, attempt)) => {}
                Ok(()) = logins.changed() => {}
            }
        }
    }

    /// Returns instructions that say how to log in. An application that shows a server without tools as
    /// healthy passes them to its model; a host without a display can follow them too. They have no URL of
    /// the login.
    pub(super) fn login_instructions(&self, mode: LoginMode) -> String {
        let url = self.connection.url();
        // A plain login would use it again, while its access token has not expired.
        let force = self.connection.has_session();
        let what = if force {
            format!("{url} no longer accepts the stored login")
        } else {
            format!("Not logged in to {url} yet")
        };
        let tool = (mode != LoginMode::Command).then(|| self.own_tool_name());
        let how = match (tool.flatten(), self.connection.host().login_command(force)) {
            (Some(tool), Some(command)) => format!(
                "To log in, call the tool `{tool}`, or ask the user to run this command in a terminal: \
                 `{command}`."
            ),
            (Some(tool), None) => format!("To log in, call the tool `{tool}`."),
            (None, Some(command)) => {
                format!("Ask the user to run this command in a terminal: `{command}`.")
            }
            (None, None) => "Ask the user to log in.".to_owned(),
        };
        format!(
            "{what}, so its tools are not listed. {how} The tools are listed as soon as the login is done."
        )
    }
}
