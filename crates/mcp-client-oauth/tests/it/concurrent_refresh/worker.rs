//! A worker process: it opens a session in the shared store and runs the orders of its parent.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::HeaderValue;
use mcp_client_oauth::{
    Client, LoginKey, TokenStore,
    adapters::TokenSource as _,
    flow::Challenge,
    platform::{HttpClient, HttpError, Platform, Request, ReqwestClient, Response},
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction};
use tokio::process::Command;

use super::{
    process::{env_var, orders, report, rerun},
    shared_store,
};
use crate::support::start_time;

const SERVER: &str = "MCP_OAUTH_TEST_SERVER";
const NAME: &str = "MCP_OAUTH_TEST_NAME";
/// The header with the name of the sender, for the testbed's request log.
pub(crate) const SENDER: &str = "x-sender";

/// Returns the command that starts a worker, without the variables of its store.
pub(crate) fn worker_command(name: &str, server: &str) -> Command {
    let mut command = rerun("concurrent_refresh::worker::a_worker_runs_its_orders");
    command.env(NAME, name).env(SERVER, server);
    command
}

/// Adds the name of the process to each request.
pub(crate) struct NamedSender(HeaderValue, ReqwestClient);

impl NamedSender {
    pub(crate) fn platform(name: &str, clock: &ManualClock) -> Platform {
        let http = Self(name.parse().unwrap(), ReqwestClient::default());
        let interaction = RecordedInteraction::default();
        Platform::new(
            Arc::new(http),
            Arc::new(clock.clone()),
            Arc::new(interaction),
        )
    }
}

#[async_trait]
impl HttpClient for NamedSender {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        request.headers.insert(SENDER, self.0.clone());
        self.1.send(request).await
    }
}

/// Returns the time after so many seconds.
pub(crate) fn time_at(seconds: u64) -> SystemTime {
    start_time() + Duration::from_secs(seconds)
}

/// Does nothing unless a test started this process. While it waits for an order, its one worker thread
/// runs the background tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_worker_runs_its_orders() {
    let Some(name) = env_var(NAME) else { return };
    run_orders(&name, shared_store::of_this_process()).await;
}

async fn run_orders(name: &str, store: TokenStore) {
    let clock = ManualClock::new(start_time());
    let key = LoginKey::try_from(env_var(SERVER).unwrap()).unwrap();
    let platform = NamedSender::platform(name, &clock);
    let client = Client::with_platform(platform, store.clone());
    let session = client.session(key).await.unwrap();
    let mut token = session.record().unwrap().tokens.access_token;
    let mut is_refused = false;
    report("ready");
    for order in orders() {
        let (verb, seconds) = order.split_once(' ').unwrap();
        clock.set(time_at(seconds.parse().unwrap()));
        match verb {
            "token" => is_refused = false,
            "replace" => is_refused = true,
            // A worker that has a new token keeps it.
            "again" => {}
            _ => panic!("unknown order {verb}"),
        }
        let response = if is_refused {
            session
                .refresh_after_rejection(&token, &Challenge::default())
                .await
        } else {
            session.token().await
        };
        match response {
            Ok(new) => {
                report(&format!("token {}", new.expose()));
                (token, is_refused) = (new, false);
            }
            Err(error) => report(&format!("error {:?}: {error}", error.remedy())),
        }
        // Until the lease is released, the other workers wait.
        store.flush().await;
    }
}
