//! Records in a real Vault-compatible server: one file for each topic.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may panic, with the location of the failure"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use mcp_client_oauth::{
    Error, Remedy, Secret,
    error::{HttpErrorKind, TokenStorageError},
    platform::{Clock, HttpClient, HttpError, Request, ReqwestClient, Response},
};
use mcp_oauth_store::{Backend as _, Entry, NameQuery, Revision};
use mcp_oauth_testing::{ManualClock, contract};
use mcp_oauth_vault::{VaultAuth, VaultError, VaultOptions, VaultStore};
use serde_json::json;
use test_support::bao::Bao;
use tokio::sync::Notify;

mod leases;
mod records;
mod refusals;
mod restarts;
mod tokens;

/// The options of a store for a test server.
trait Options {
    /// Returns options with the default mount and prefix, and the root token.
    fn options(&self) -> VaultOptions;

    /// Returns options with the default mount and prefix, and these credentials.
    fn options_as(&self, auth: VaultAuth) -> VaultOptions;
}

impl Options for Bao {
    fn options(&self) -> VaultOptions {
        self.options_as(VaultAuth::Token(Secret::new(self.root.clone())))
    }

    fn options_as(&self, auth: VaultAuth) -> VaultOptions {
        VaultOptions::new(self.address.clone(), auth)
    }
}

/// Opens a client with a clock that advances by itself, so that pauses take no time.
fn vault(options: &VaultOptions) -> VaultStore {
    let clock = Arc::new(ManualClock::auto_advancing(start_time()));
    with_clock(options, clock)
}

/// Opens a client with the default network.
fn with_clock(options: &VaultOptions, clock: Arc<dyn Clock>) -> VaultStore {
    let http = Arc::new(ReqwestClient::default());
    VaultStore::with_http_client(options, http, clock).unwrap()
}

fn start_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn entry(text: &str) -> Entry {
    Entry::new(Secret::new(text.as_bytes().to_vec()))
}

/// Returns all names, sorted.
async fn names(vault: &VaultStore) -> Result<Vec<String>, TokenStorageError> {
    let mut page = vault.names(&NameQuery::new(u32::MAX)).await?;
    page.names.sort_unstable();
    Ok(page.names)
}

async fn content(vault: &VaultStore, name: &str) -> Option<(Revision, String)> {
    let stored = vault.get(name).await.unwrap()?;
    let text = String::from_utf8(stored.entry.bytes.expose().clone()).unwrap();
    Some((stored.revision, text))
}

/// Returns the Vault error.
fn cause<T: std::fmt::Debug>(result: Result<T, TokenStorageError>) -> VaultError {
    failure(result).0
}

/// Returns the Vault error, and its remedy.
fn failure<T: std::fmt::Debug>(result: Result<T, TokenStorageError>) -> (VaultError, Remedy) {
    let error = result.unwrap_err();
    let Some(cause) = VaultError::of(&error).cloned() else {
        panic!("{error}");
    };
    (cause, Error::from(error).remedy())
}

fn is_conflict<T>(result: &Result<T, TokenStorageError>) -> bool {
    matches!(result, Err(TokenStorageError::Conflict { .. }))
}

/// A network that moves the server's clock forward, and loses or delays the responses to document
/// writes.
#[derive(Default)]
struct Tampered {
    http: ReqwestClient,
    ahead: AtomicU64,
    losing: AtomicU64,
    holding: AtomicBool,
    responded: Notify,
    let_go: Notify,
    requests: Mutex<Vec<(Method, String)>>,
}

impl Tampered {
    fn set_ahead(&self, time: Duration) {
        self.ahead.store(time.as_secs(), Ordering::SeqCst);
    }

    /// Loses the responses to the next document writes.
    fn lose_responses(&self, responses: u64) {
        self.losing.store(responses, Ordering::SeqCst);
    }

    /// Delays the response to the next write.
    fn hold_responses(&self) {
        self.holding.store(true, Ordering::SeqCst);
    }

    /// Waits until a response is delayed: the document is written by then.
    async fn responded(&self) {
        self.responded.notified().await;
    }

    fn release_responses(&self) {
        self.let_go.notify_one();
    }

    /// Returns the method and path of each request.
    fn requests(&self) -> Vec<(Method, String)> {
        self.requests.lock().unwrap().clone()
    }

    fn count(&self, part: &str) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|(_, path)| path.contains(part))
            .count()
    }

    /// Opens a client in that network.
    fn vault(self: &Arc<Self>, options: &VaultOptions, clock: &ManualClock) -> VaultStore {
        let http = Arc::clone(self) as Arc<dyn HttpClient>;
        VaultStore::with_http_client(options, http, Arc::new(clock.clone())).unwrap()
    }
}

#[async_trait]
impl HttpClient for Tampered {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (method, url) = (request.method.clone(), request.url.clone());
        self.requests
            .lock()
            .unwrap()
            .push((method.clone(), url.path().to_owned()));
        let mut response = self.http.send(request).await?;
        let is_write = method == Method::POST && url.path().contains("/data/");
        if is_write && self.losing.load(Ordering::SeqCst) > 0 {
            self.losing.fetch_sub(1, Ordering::SeqCst);
            let lost = HttpErrorKind::Interrupted("the response is lost".to_owned());
            return Err(HttpError::new(&url, lost));
        }
        if is_write && self.holding.swap(false, Ordering::SeqCst) {
            self.responded.notify_one();
            self.let_go.notified().await;
        }
        let date = response.header(header::DATE).unwrap();
        let date = httpdate::parse_http_date(date).unwrap();
        let date = date + Duration::from_secs(self.ahead.load(Ordering::SeqCst));
        let date = HeaderValue::from_str(&httpdate::fmt_http_date(date)).unwrap();
        response.headers.insert(header::DATE, date);
        Ok(response)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_keeps_the_contract() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    let vault = VaultStore::open(&bao.options()).unwrap();
    contract::check(Arc::new(vault)).await;
}

#[tokio::test]
async fn a_vault_keeps_the_contract_on_one_thread_and_with_the_documented_policy() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.policy("mcp").await;
    let token = bao.token("mcp", "1h").await;
    let auth = VaultAuth::Token(Secret::new(token));
    let vault = VaultStore::open(&bao.options_as(auth)).unwrap();
    contract::check(Arc::new(vault)).await;
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let Some(bao) = Bao::start().await else {
        return;
    };
    bao.post("sys/namespaces/team", json!({})).await;
    bao.mount("secret", "2", "team/").await;
    let mut options = bao.options();
    let outside = vault(&options);
    options.namespace = Some("team".to_owned());
    let inside = vault(&options);
    inside.put("a", None, &entry("inside")).await.unwrap();
    assert_eq!(content(&outside, "a").await, None);
    assert_eq!(names(&inside).await.unwrap(), ["a"]);
    assert_eq!(names(&outside).await.unwrap(), [""; 0]);
}
