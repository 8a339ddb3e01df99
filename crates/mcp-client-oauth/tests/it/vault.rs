//! Records in a real Vault-compatible server.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{HeaderValue, Method, header};
use mcp_client_oauth::{
    Error, Remedy, Secret,
    error::{HttpErrorKind, TokenStorageError, VaultErrorKind},
    platform::{HttpClient, HttpError, Request, ReqwestClient, Response, SystemClock},
    store::{Backend as _, Revision, Vault, VaultAuth, VaultOptions, contract},
    testing::ManualClock,
};
use serde_json::json;
use test_support::bao::Bao;
use tokio::sync::Notify;

use crate::support::{lock, start_time};
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
fn vault(options: &VaultOptions) -> Vault {
    Vault::open(options, Arc::new(ManualClock::auto_advancing(start_time()))).unwrap()
}

fn bytes(text: &str) -> Secret<Vec<u8>> {
    Secret::new(text.as_bytes().to_vec())
}

async fn content(vault: &Vault, name: &str) -> Option<(Revision, String)> {
    let stored = vault.get(name).await.unwrap()?;
    let text = String::from_utf8(stored.bytes.expose().clone()).unwrap();
    Some((stored.revision, text))
}

/// Returns the Vault error.
fn cause<T: std::fmt::Debug>(result: Result<T, TokenStorageError>) -> VaultErrorKind {
    match result.unwrap_err() {
        TokenStorageError::Vault { cause, .. } => cause,
        other => panic!("{other}"),
    }
}

fn remedy(cause: VaultErrorKind) -> Remedy {
    let address = "https://vault.example".parse().unwrap();
    Error::from(TokenStorageError::Vault { address, cause }).remedy()
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
        lock(&self.requests).clone()
    }

    fn count(&self, part: &str) -> usize {
        let requests = self.requests();
        requests
            .iter()
            .filter(|(_, path)| path.contains(part))
            .count()
    }

    /// Opens a client in that network.
    fn vault(self: &Arc<Self>, options: &VaultOptions, clock: &ManualClock) -> Vault {
        let http = Arc::clone(self) as Arc<dyn HttpClient>;
        Vault::with_http_client(options, http, Arc::new(clock.clone())).unwrap()
    }
}

#[async_trait]
impl HttpClient for Tampered {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (method, url) = (request.method.clone(), request.url.clone());
        lock(&self.requests).push((method.clone(), url.path().to_owned()));
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
    let vault = Vault::open(&bao.options(), Arc::new(SystemClock::default())).unwrap();
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
    let vault = Vault::open(&bao.options_as(auth), Arc::new(SystemClock::default())).unwrap();
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
    inside.put("a", None, &bytes("inside")).await.unwrap();
    assert_eq!(content(&outside, "a").await, None);
    assert_eq!(inside.names().await.unwrap(), ["a"]);
    assert_eq!(outside.names().await.unwrap(), [""; 0]);
}
