//! A call that needs a login, of a client that can show the login to the user.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::value::RawValue;
use tokio::sync::watch;

use crate::{
    connection::{Outcome, ServerConnection, Step, Waiting},
    elicitation::{Elicitation, Retried, Retry, is_declared_in, pending_result},
    jsonrpc::Message,
};

/// The number of logins that one call may wait for: the first login, and one for each wider scope.
const MAX_LOGINS: u32 = 3;

/// A call of a client.
pub(crate) struct Call {
    connection: ServerConnection,
    /// The request as the server gets it.
    pub(crate) message: Arc<Message>,
    /// Counts the call among those that wait for the login.
    waiting: Option<Waiting>,
    /// The number of logins that the call has requested.
    logins: u32,
    /// The time that a call waits for the login.
    limit: Duration,
    deadline: std::time::SystemTime,
}

/// The first step of a login for a call.
pub(crate) enum LoginStep {
    /// This request of MCP 2025-11-25 goes to the client, and the call waits.
    Send(Elicitation),
    Wait,
    /// The call gets this response, and the client retries it (MCP 2026-07-28).
    Respond(Bytes),
    /// The call ends with this text.
    Refuse(String),
}

/// The end of the wait for a login.
pub(crate) enum LoginEnd {
    /// The call can be sent again.
    Repeat,
    /// The call gets this response.
    Respond(Bytes),
    /// The call ends with this text.
    Refuse(String),
}

impl Call {
    /// Reads the request, which may be the retry of an earlier one with the action of the user.
    pub(crate) fn new(
        connection: ServerConnection,
        request: Arc<Message>,
        limit: Duration,
    ) -> Self {
        let (mut message, mut waiting) = (request, None);
        if let Some(retried) = Retried::parse(&message, connection.instance()) {
            if let Some(action) = retried.action {
                connection.record_action(&retried.id, action);
            }
            waiting = connection.rejoin(&retried.id);
            message = Arc::new(retried.message);
        }
        let deadline = connection.platform().clock.now() + limit;
        Self {
            connection,
            message,
            waiting,
            logins: 0,
            limit,
            deadline,
        }
    }

    /// Returns the time that is left to wait for a login.
    pub(crate) fn time_left(&self) -> Duration {
        let now = self.connection.platform().clock.now();
        self.deadline.duration_since(now).unwrap_or_default()
    }

    /// Requests the login, unless another call has.
    pub(crate) async fn request_login(&mut self, raw_id: &RawValue) -> LoginStep {
        if self.waiting.is_some() {
            return LoginStep::Wait;
        }
        self.logins += 1;
        if self.logins > MAX_LOGINS {
            return LoginStep::Refuse(self.connection.text_without_url());
        }
        let is_stateless = self.message.routing.is_some();
        let retry_time = is_stateless.then_some(self.limit);
        let step = self
            .connection
            .request_login(self.time_left(), retry_time)
            .await;
        match step {
            Step::Elicit(elicitation, _waiting) if is_stateless => {
                let retry = Retry::of(&self.message);
                let instance = self.connection.instance();
                let response = elicitation.required_result(&retry, instance, raw_id);
                LoginStep::Respond(response)
            }
            Step::Elicit(elicitation, waiting) => {
                self.waiting = Some(waiting);
                LoginStep::Send(elicitation)
            }
            Step::Wait(waiting) => {
                self.waiting = Some(waiting);
                LoginStep::Wait
            }
            Step::Refuse(text) => LoginStep::Refuse(text),
        }
    }

    /// Waits for the login. `logins` was subscribed to before the call was sent.
    pub(crate) async fn wait_for_login(
        &mut self,
        logins: &mut watch::Receiver<u64>,
        raw_id: &RawValue,
    ) -> LoginEnd {
        let waiting = self.waiting.take();
        let left = self.time_left();
        match self.connection.wait_for_login(logins, left).await {
            Outcome::Done => LoginEnd::Repeat,
            Outcome::Ended(text) => LoginEnd::Refuse(text),
            Outcome::TimedOut => {
                let id = waiting.as_ref().and_then(Waiting::id);
                match id.filter(|id| self.may_retry() && self.connection.is_worth_waiting(id)) {
                    // The user has agreed and is at the login page.
                    Some(id) => {
                        let retry = Retry::of(&self.message);
                        let instance = self.connection.instance();
                        LoginEnd::Respond(pending_result(id, &retry, instance, raw_id))
                    }
                    None => LoginEnd::Refuse(self.connection.text_without_url()),
                }
            }
        }
    }

    fn may_retry(&self) -> bool {
        is_declared_in(&self.message)
    }
}
