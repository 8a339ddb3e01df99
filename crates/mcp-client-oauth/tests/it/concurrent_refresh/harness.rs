//! The parent process: a testbed, a store, and the worker processes.

use std::time::Duration;

use http::{Method, header};
use mcp_client_oauth::{
    TokenStore,
    platform::{AddressSpace, Request},
};
use mcp_oauth_testbed::{Peer, RecordedRequest, Testbed};

use super::{
    process::Process,
    shared_store::SharedStore,
    worker::{SENDER, time_at, worker_command},
};
use crate::support::{Fixture, bounded};

/// The lifetime of an access token.
const LIFE: Duration = Duration::from_secs(1);

/// The reason why the token of all workers is invalid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenProblem {
    /// It has expired, which every worker knows.
    Expired,
    /// It has not expired, but the server refuses it.
    Refused,
}

pub(crate) struct Worker {
    pub(crate) name: String,
    pub(crate) process: Process,
    /// It has not reported yet that it is ready.
    is_new: bool,
}

pub(crate) struct Harness {
    pub(crate) fixture: Fixture,
    pub(crate) workers: Vec<Worker>,
    shared_store: SharedStore,
    /// The current token of all workers.
    token: String,
    seconds: u64,
    spawned: usize,
}

impl Harness {
    /// Logs in, and starts `size` worker processes that open the stored login.
    pub(crate) async fn start(size: usize, shared_store: SharedStore) -> Self {
        let builder = Testbed::builder()
            .access_token_lifetime(LIFE)
            .manual_clock(true);
        let mut fixture = Fixture::with(builder).await;
        fixture.store = shared_store.store();
        let mut harness = Self {
            fixture,
            workers: Vec::new(),
            shared_store,
            token: String::new(),
            seconds: 0,
            spawned: 0,
        };
        harness.token = harness.log_in().await;
        harness.fixture.testbed.clear_requests();
        for _ in 0..size {
            harness.spawn_worker();
        }
        harness.wait_until_ready().await;
        harness
    }

    /// Starts another worker process.
    pub(crate) fn spawn_worker(&mut self) {
        self.spawned += 1;
        let name = format!("worker-{}", self.spawned);
        let mut command = worker_command(&name, self.fixture.server.as_str());
        self.shared_store.set_env(&mut command);
        let process = Process::start(command);
        self.workers.push(Worker {
            name,
            process,
            is_new: true,
        });
    }

    /// Waits for the workers that were started since the last call.
    pub(crate) async fn wait_until_ready(&mut self) {
        for worker in &mut self.workers {
            if worker.is_new {
                assert_eq!(worker.process.receive().await.as_deref(), Some("ready"));
                worker.is_new = false;
            }
        }
    }

    /// Logs in for all workers. Returns the access token.
    pub(crate) async fn log_in(&self) -> String {
        let session = self.fixture.login().await.unwrap();
        self.fixture.store.flush().await;
        let record = session.record().unwrap();
        record.tokens.access_token.expose().to_owned()
    }

    /// Opens the store again, without any cached state.
    pub(crate) fn store(&self) -> TokenStore {
        self.shared_store.store()
    }

    /// Invalidates the token of all workers, and orders them to get a new one.
    pub(crate) async fn invalidate_token(&mut self, problem: TokenProblem) {
        match problem {
            TokenProblem::Expired => {
                self.seconds += LIFE.as_secs();
                self.fixture.clock.set(time_at(self.seconds));
                self.fixture.testbed.advance(LIFE);
                self.send_all("token").await;
            }
            TokenProblem::Refused => {
                self.fixture.testbed.revoke_access_tokens();
                self.send_all("replace").await;
            }
        }
    }

    /// Sends an order to all workers before any report is read.
    pub(crate) async fn send_all(&mut self, verb: &str) {
        let order = format!("{verb} {}", self.seconds);
        for worker in &mut self.workers {
            worker.process.send(&order).await;
        }
    }

    /// Returns the reports of all workers that are alive.
    pub(crate) async fn responses(&mut self) -> Vec<String> {
        let mut responses = Vec::new();
        for worker in &mut self.workers {
            responses.extend(worker.process.receive().await);
        }
        responses
    }

    /// Checks that all workers have the same token, that it is new, and that the server accepts it.
    pub(crate) async fn assert_all_got_one_new_token(&mut self, responses: &[String]) {
        let first = responses.first().expect("a worker is alive");
        let token = first.strip_prefix("token ").expect(first).to_owned();
        for response in responses {
            assert_eq!(response, first, "the workers have different tokens");
        }
        assert_ne!(token, self.token, "this is the invalid token");
        assert!(
            is_accepted(&self.fixture, &token).await,
            "the server refuses it"
        );
        assert!(self.fixture.testbed.families().last().unwrap().alive);
        self.token = token;
    }

    /// Runs one round without any crash.
    pub(crate) async fn assert_one_refresh(&mut self, problem: TokenProblem) {
        self.invalidate_token(problem).await;
        let responses = self.responses().await;
        assert_eq!(responses.len(), self.workers.len());
        self.assert_all_got_one_new_token(&responses).await;
        assert_eq!(self.fixture.refreshes(), 1, "one token request for all");
        assert_eq!(self.fixture.testbed.families().len(), 1);
        assert_eq!(
            self.fixture.user.opened_urls().len(),
            1,
            "a second login was started"
        );
        self.fixture.testbed.clear_requests();
    }

    /// Returns the refresh requests of this round, in the order of their arrival.
    pub(crate) fn refreshes(&self) -> Vec<RecordedRequest> {
        let requests = self.fixture.testbed.requests().into_iter();
        requests
            .filter(|request| request.path == "/token" && request.form("refresh_token").is_some())
            .collect()
    }

    /// Waits for a refresh request, and returns the index of the worker that sent it.
    pub(crate) async fn sender(&self) -> usize {
        let server = Peer::AuthorizationServer;
        bounded(
            self.fixture
                .testbed
                .wait_for_requests(server, "POST", "/token", 1),
        )
        .await;
        let refreshes = self.refreshes();
        let name = sender_of(refreshes.last().unwrap());
        let found = self.workers.iter().position(|worker| worker.name == name);
        found.expect("only workers refresh")
    }
}

pub(crate) fn sender_of(request: &RecordedRequest) -> &str {
    request
        .header(SENDER)
        .expect("a worker adds its name to each request")
}

/// Says whether the server accepts an access token.
pub(crate) async fn is_accepted(fixture: &Fixture, token: &str) -> bool {
    let notes = fixture.server.as_url().join("/mcp/notes").unwrap();
    let mut request = Request::new(Method::GET, notes, AddressSpace::Loopback);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.headers.insert(header::AUTHORIZATION, bearer);
    let response = bounded(fixture.platform.http.send(request)).await;
    response.unwrap().status == 200
}
