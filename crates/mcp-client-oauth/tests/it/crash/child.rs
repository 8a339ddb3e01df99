//! The work of the child processes, which the tests kill.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, Session, TokenStore,
    error::TokenStorageError,
    flow::AccessToken,
    platform::{HttpClient, HttpError, Request, Response},
    store::{LoginKey, Record, RecordLock},
};
use mcp_oauth_store::{EncryptedFileStore, KeySource};
use mcp_oauth_testing::ManualClock;
use tokio::{process::Command, runtime::Handle};

use crate::{
    concurrent_refresh::{
        process::{env_var, orders, report, rerun},
        worker::NamedSender,
    },
    support::start_time,
};

const WORK: &str = "MCP_OAUTH_TEST_WORK";
const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
const SERVER: &str = "MCP_OAUTH_TEST_SERVER";
const NAME: &str = "MCP_OAUTH_TEST_NAME";

/// The operation of a child on a record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    /// Saves the next number.
    Save,
    /// Deletes it.
    Delete,
    /// Deletes it if it is there, and saves the next number if it is not.
    DeleteAndInsert,
    /// Refreshes its tokens.
    Refresh,
    /// Creates the store, without any record.
    Begin,
    /// Changes the key of the store.
    Rekey,
}

impl Work {
    fn by_name(name: &str) -> Self {
        let all = [
            Self::Save,
            Self::Delete,
            Self::DeleteAndInsert,
            Self::Refresh,
            Self::Begin,
            Self::Rekey,
        ];
        let mut all = all.into_iter();
        all.find(|work| format!("{work:?}") == name).unwrap()
    }
}

/// The store of a child, and the name of its requests.
pub(crate) struct Job<'a> {
    pub(crate) work: Work,
    pub(crate) directory: &'a Path,
    pub(crate) server: &'a str,
    pub(crate) name: &'a str,
}

impl Job<'_> {
    /// Returns the command of a child that works until it is killed.
    pub(crate) fn until_killed(&self) -> Command {
        self.with_env(rerun("crash::child::a_child_works_until_it_is_killed"))
    }

    /// Returns the command of a child that works on each order.
    pub(crate) fn on_order(&self) -> Command {
        self.with_env(rerun("crash::child::a_child_works_on_order"))
    }

    pub(crate) fn with_env(&self, mut child: Command) -> Command {
        child
            .env(WORK, format!("{:?}", self.work))
            .env(DIRECTORY, self.directory)
            .env(SERVER, self.server)
            .env(NAME, self.name);
        child
    }
}

/// The store and the record that this process works on.
struct Child {
    work: Work,
    files: EncryptedFileStore,
    store: TokenStore,
    key: LoginKey,
    session: Option<Session>,
    /// The last saved number.
    number: AtomicU64,
}

/// Says whether another test has started this process.
fn is_child() -> bool {
    env_var(WORK).is_some()
}

impl Child {
    /// Opens the store that the environment names. Its requests are sent in the runtime `network`.
    async fn from_env(network: Handle) -> Result<Self, Error> {
        let key = LoginKey::try_from(env_var(SERVER).unwrap()).unwrap();
        let name = env_var(NAME).unwrap();
        let files = open(env_var(DIRECTORY).unwrap()).await?;
        let store = TokenStore::new(Arc::new(files.clone()));
        let work = Work::by_name(&env_var(WORK).unwrap());
        let session = match work {
            Work::Refresh => {
                let mut platform = NamedSender::platform(&name, &ManualClock::new(start_time()));
                platform.http = Arc::new(OtherRuntime(platform.http, network));
                let client = Client::with_platform(platform, store.clone());
                Some(client.session(&key).await?)
            }
            _ => None,
        };
        Ok(Self {
            work,
            files,
            store,
            key,
            session,
            number: AtomicU64::new(name.parse().unwrap()),
        })
    }

    /// Does the work once. From then on the returned report is true of the store.
    async fn work(&self) -> Result<String, Error> {
        if let Some(session) = &self.session {
            let token = session.refresh().await?;
            return Ok(format!("refreshed {}", token.expose()));
        }
        match self.work {
            Work::Begin => {
                self.store.check_writable().await?;
                return Ok("begun".to_owned());
            }
            Work::Rekey => {
                self.files.rekey(KeySource::KeyFile).await?;
                return Ok("rekeyed".to_owned());
            }
            _ => {}
        }
        let mut lock = self.store.lock(&self.key).await?;
        match (self.work, lock.record()) {
            (Work::Delete, _) | (Work::DeleteAndInsert, Some(_)) => {
                self.store.delete(&mut lock).await?;
                Ok("deleted".to_owned())
            }
            _ => self.save_next(&mut lock).await,
        }
    }

    /// Saves the next number; without a record it copies the template.
    async fn save_next(&self, lock: &mut RecordLock) -> Result<String, Error> {
        let last = self.number.load(Ordering::SeqCst);
        let next = lock.record().map_or(last, number_in) + 1;
        let mut record = match lock.record() {
            Some(record) => record.clone(),
            None => self.template().await?,
        };
        set_number(&mut record, next);
        self.store.save(lock, &record).await?;
        self.number.store(next, Ordering::SeqCst);
        Ok(format!("saved {next}"))
    }

    async fn template(&self) -> Result<Record, TokenStorageError> {
        let found = self.store.load(&template(&self.key)).await?;
        Ok(found.expect("the parent has saved it").0)
    }

    /// Returns the token that the session has in memory.
    async fn token_in_memory(&self) -> Result<String, Error> {
        let session = self
            .session
            .as_ref()
            .expect("a refreshing child has a session");
        Ok(format!("token {}", session.token().await?.expose()))
    }
}

/// Opens the store in the blocking thread, which strace follows.
async fn open(directory: String) -> Result<EncryptedFileStore, TokenStorageError> {
    let open = move || EncryptedFileStore::open(directory, KeySource::KeyFile);
    tokio::task::spawn_blocking(open).await.unwrap()
}

/// Sends requests in another runtime.
struct OtherRuntime(Arc<dyn HttpClient>, Handle);

#[async_trait]
impl HttpClient for OtherRuntime {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let http = Arc::clone(&self.0);
        let sent = self.1.spawn(async move { http.send(request).await });
        sent.await.unwrap()
    }
}

/// Returns the key of the template record, which is copied for new records.
pub(crate) fn template(key: &LoginKey) -> LoginKey {
    key.clone().with_account("template")
}

/// Fills the token of a record with a number, so that a partly written record is detected.
pub(crate) fn set_number(record: &mut Record, number: u64) {
    let token = format!("{number:016}").repeat(256);
    record.tokens.access_token = AccessToken::new(&token).unwrap();
}

pub(crate) fn number_in(record: &Record) -> u64 {
    let token = record.tokens.access_token.expose();
    let number = token[..16].parse().unwrap();
    assert_eq!(
        token,
        format!("{number:016}").repeat(256),
        "a partly written record"
    );
    number
}

/// Does nothing unless another test started this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_child_works_until_it_is_killed() {
    if !is_child() {
        return;
    }
    let child = Child::from_env(Handle::current()).await.unwrap();
    loop {
        match child.work().await {
            Ok(done) => report(&done),
            Err(error) => {
                report(&format!("error {error}"));
                return;
            }
        }
    }
}

/// Does nothing unless another test started this process. All its file operations run in one thread, and
/// it reports the ID of that thread for strace. The network has its own runtime, because waking a task
/// that waits for the network is a write.
#[test]
fn a_child_works_on_order() {
    if !is_child() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_secs(3600))
        .build()
        .unwrap();
    let thread = || std::fs::read_link("/proc/thread-self").unwrap();
    let thread = runtime.block_on(runtime.spawn_blocking(thread)).unwrap();
    report(thread.file_name().unwrap().to_str().unwrap());

    let network = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut child = None;
    for order in orders() {
        match runtime.block_on(run_order(&mut child, &order, network.handle())) {
            Ok(done) => report(&done),
            Err(error) => report(&error_report(&error)),
        }
    }
}

/// Runs an order. If the store could not be opened, the next order opens it again.
async fn run_order(
    child: &mut Option<Child>,
    order: &str,
    network: &Handle,
) -> Result<String, Error> {
    if child.is_none() {
        *child = Some(Child::from_env(network.clone()).await?);
    }
    let child = child.as_ref().unwrap();
    match order {
        "work" => child.work().await,
        "token" => child.token_in_memory().await,
        other => panic!("unknown order {other}"),
    }
}

/// Returns the report of an error: for an I/O error the operation and the path.
fn error_report(error: &Error) -> String {
    match error {
        Error::TokenStorage(TokenStorageError::Io { action, path, .. }) => {
            format!("failed to {action} {}", path.display())
        }
        other => format!("error {other}"),
    }
}
