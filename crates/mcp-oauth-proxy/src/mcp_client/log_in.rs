//! Lets the client show a login, and runs the tool `log_in`.

use std::sync::Arc;

use bytes::Bytes;
use mcp_oauth_support::mutex::lock;
use serde_json::Value;
use tokio::sync::watch;

use super::state::{Inner, LoginMode, SentElicitation};
use crate::{
    call_login::{Call, LoginEnd, LoginStep},
    connection::{Opener, Outcome},
    elicitation::{
        Action, Elicitation, cancelled_notification, complete_notification, responded_id,
    },
    host::UserBrowser,
    jsonrpc::Id,
    log_in_tool::{self, LOG_IN},
};

impl Inner {
    /// Lets the client show the login for a call, and waits for it. Returns true if the call can be sent
    /// again; otherwise it has its response.
    pub(super) async fn log_in_by_client(
        &self,
        call: &mut Call,
        logins: &mut watch::Receiver<u64>,
    ) -> bool {
        let message = Arc::clone(&call.message);
        let Some((_, raw_id)) = message.requests().pop() else {
            return false;
        };
        let end = match call.request_login(&raw_id).await {
            LoginStep::Respond(response) => LoginEnd::Respond(response),
            LoginStep::Refuse(text) => LoginEnd::Refuse(text),
            LoginStep::Send(elicitation) => {
                self.send_elicitation(elicitation).await;
                call.wait_for_login(logins, &raw_id).await
            }
            LoginStep::Wait => call.wait_for_login(logins, &raw_id).await,
        };
        match end {
            LoginEnd::Repeat => return true,
            LoginEnd::Respond(response) => {
                self.write_responses(&message, |_| response.clone()).await;
            }
            LoginEnd::Refuse(text) => self.refuse(&message, &text).await,
        }
        false
    }

    /// Sends an elicitation request. An earlier one that the user has not seen to is withdrawn.
    async fn send_elicitation(&self, elicitation: Elicitation) {
        let earlier: Vec<_> = {
            let mut sent = lock(&self.sent);
            let earlier = sent.extract_if(.., |sent| !sent.is_accepted).collect();
            sent.push(SentElicitation {
                id: elicitation.id.clone(),
                is_accepted: false,
            });
            earlier
        };
        for SentElicitation { id, .. } in earlier {
            self.forwarder
                .out
                .write_line(cancelled_notification(&id))
                .await;
        }
        self.forwarder.out.write_line(elicitation.request()).await;
    }

    /// Takes the response to an elicitation request of the proxy. Returns false if it is for the server.
    pub(super) fn take_elicitation_response(&self, id: &Id, response: &Bytes) -> bool {
        let Some(id) = responded_id(id) else {
            return false;
        };
        let mut sent = lock(&self.sent);
        let Some(index) = sent.iter().position(|sent| sent.id == id) else {
            return false;
        };
        let action = Action::of_response(response);
        if action == Action::Accept {
            sent[index].is_accepted = true;
        } else {
            sent.remove(index);
        }
        drop(sent);
        self.connection.record_action(id, action);
        true
    }

    /// Returns the messages that end the elicitations after a login.
    pub(super) fn end_elicitations(&self) -> Vec<Bytes> {
        let sent = std::mem::take(&mut *lock(&self.sent));
        let end = |sent: &SentElicitation| {
            if sent.is_accepted {
                complete_notification(&sent.id)
            } else {
                // The user has logged in elsewhere.
                cancelled_notification(&sent.id)
            }
        };
        sent.iter().map(end).collect()
    }

    /// Runs the tool `log_in`. `logins` was subscribed to before the request that needs the login.
    pub(super) async fn call_log_in(&self, call: &mut Call, mut logins: watch::Receiver<u64>) {
        let message = Arc::clone(&call.message);
        if self.connection.is_login_pending() {
            match self.login_mode(&message) {
                LoginMode::Client => {
                    if !self.log_in_by_client(call, &mut logins).await {
                        return;
                    }
                }
                LoginMode::Command => {
                    let text = self.connection.text_without_url();
                    return self.refuse(&message, &text).await;
                }
                LoginMode::Host => {
                    if let Some(text) = self.log_in_by_host(call, &mut logins).await {
                        return self.refuse(&message, &text).await;
                    }
                }
            }
        }
        let text = format!(
            "Logged in to {}. The tools of the server are listed now.",
            self.connection.url()
        );
        self.write_responses(&message, |raw_id| {
            log_in_tool::result(&message, raw_id, &text)
        })
        .await;
    }

    /// Starts the login, or opens its browser again, and waits for it. Returns the text for the client if it
    /// is not done.
    async fn log_in_by_host(
        &self,
        call: &Call,
        logins: &mut watch::Receiver<u64>,
    ) -> Option<String> {
        self.connection.request_start(Opener::Host);
        self.connection.reopen_login().await;
        if self.connection.host().user_browser() != UserBrowser::Local {
            // Nothing was opened here, so the user needs the URL first.
            return Some(self.connection.login_needed().await.text);
        }
        match self
            .connection
            .wait_for_login(logins, call.time_left())
            .await
        {
            Outcome::Done => None,
            Outcome::Ended(text) => Some(text),
            Outcome::TimedOut => Some(self.connection.login_needed().await.text),
        }
    }

    /// Returns the name of the tool, unless it is hidden.
    pub(super) fn own_tool_name(&self) -> Option<&'static str> {
        (!self.forwarder.filter.hides(LOG_IN)).then_some(LOG_IN)
    }

    /// Returns the tool for a list, unless it is hidden.
    pub(super) fn own_tool(&self) -> Option<Value> {
        self.own_tool_name()
            .map(|_| log_in_tool::description(self.connection.url()))
    }
}
