//! What the children do until somebody kills them, and what they leave.

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
    Error, Session, TokenSource as _, TokenStore,
    error::TokenStorageError,
    platform::{HttpClient, HttpError, Request, Response},
    proto::token::AccessToken,
    store::{EncryptedFileStore, KeySource, LoginKey, Record, RecordLock},
    testing::ManualClock,
};
use tokio::{process::Command, runtime::Handle};

use crate::{
    herd::{
        member::Signed,
        process::{again, orders, say, variable},
    },
    support::the_time,
};

const WORK: &str = "MCP_OAUTH_TEST_WORK";
const DIRECTORY: &str = "MCP_OAUTH_TEST_DIRECTORY";
const SERVER: &str = "MCP_OAUTH_TEST_SERVER";
const NAME: &str = "MCP_OAUTH_TEST_NAME";

/// What a child does to a record.
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
    /// Makes the store, and nothing in it.
    Begin,
    /// Gives the store another key.
    Rekey,
}

impl Work {
    fn called(name: &str) -> Self {
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

/// Where a child works, and under which name it sends requests.
pub(crate) struct Job<'a> {
    pub(crate) work: Work,
    pub(crate) directory: &'a Path,
    pub(crate) server: &'a str,
    pub(crate) name: &'a str,
}

impl Job<'_> {
    /// A child that works until it is killed.
    pub(crate) fn for_ever(&self) -> Command {
        self.told(again("crash::child::a_child_works_until_it_is_killed"))
    }

    /// A child that works each time it is told to.
    pub(crate) fn when_told(&self) -> Command {
        self.told(again("crash::child::a_child_works_when_it_is_told"))
    }

    pub(crate) fn told(&self, mut child: Command) -> Command {
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
    /// The last number that was saved.
    number: AtomicU64,
}

/// Whether another test has started this process.
fn is_child() -> bool {
    variable(WORK).is_some()
}

impl Child {
    /// Opens what this process was told of. Its requests go out from the runtime `network`.
    async fn told(network: Handle) -> Result<Self, Error> {
        let key = LoginKey::new(variable(SERVER).unwrap().parse().unwrap());
        let name = variable(NAME).unwrap();
        let files = open(variable(DIRECTORY).unwrap()).await?;
        let store = TokenStore::new(Arc::new(files.clone()));
        let work = Work::called(&variable(WORK).unwrap());
        let session = match work {
            Work::Refresh => {
                let mut platform = Signed::platform(&name, &ManualClock::new(the_time()));
                platform.http = Arc::new(Elsewhere(platform.http, network));
                Session::open(platform, store.clone(), key.clone()).await?
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

    /// Does it once. What is said of it is true of the store from now on.
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

    /// What is not there is made from the template.
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

    /// What the session has in memory.
    async fn token_at_hand(&self) -> Result<String, Error> {
        let session = self.session.as_ref().expect("only they have tokens");
        Ok(format!("token {}", session.token().await?.expose()))
    }
}

/// Where all that is done to files is seen by whoever watches that thread.
async fn open(directory: String) -> Result<EncryptedFileStore, TokenStorageError> {
    let open = move || EncryptedFileStore::open(directory, KeySource::KeyFile);
    tokio::task::spawn_blocking(open).await.unwrap()
}

/// Requests that are sent in another runtime.
struct Elsewhere(Arc<dyn HttpClient>, Handle);

#[async_trait]
impl HttpClient for Elsewhere {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let http = Arc::clone(&self.0);
        let sent = self.1.spawn(async move { http.send(request).await });
        sent.await.unwrap()
    }
}

/// Where the record is kept from which records are made.
pub(crate) fn template(key: &LoginKey) -> LoginKey {
    key.clone().with_account("template")
}

/// Writes a number all over a record, so that a torn one would show.
pub(crate) fn set_number(record: &mut Record, number: u64) {
    let token = format!("{number:016}").repeat(256);
    record.tokens.access_token = AccessToken::new(&token).unwrap();
}

pub(crate) fn number_in(record: &Record) -> u64 {
    let token = record.tokens.access_token.expose();
    let number = token[..16].parse().unwrap();
    assert_eq!(token, format!("{number:016}").repeat(256), "a torn record");
    number
}

/// Does nothing unless another test started this process.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_child_works_until_it_is_killed() {
    if !is_child() {
        return;
    }
    let child = Child::told(Handle::current()).await.unwrap();
    loop {
        match child.work().await {
            Ok(done) => say(&done),
            Err(error) => {
                say(&format!("error {error}"));
                return;
            }
        }
    }
}

/// Does nothing unless another test started this process. Everything that it does to files happens
/// in one thread, whose number it says: who watches that thread sees all of it, and nothing else.
/// The network is in a runtime of its own, because to wake one that waits for a network is a write.
#[test]
fn a_child_works_when_it_is_told() {
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
    say(thread.file_name().unwrap().to_str().unwrap());

    let network = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut child = None;
    for order in orders() {
        match runtime.block_on(obey(&mut child, &order, network.handle())) {
            Ok(done) => say(&done),
            Err(error) => say(&told_apart(&error)),
        }
    }
}

/// What could not be opened is opened by the next order.
async fn obey(child: &mut Option<Child>, order: &str, network: &Handle) -> Result<String, Error> {
    if child.is_none() {
        *child = Some(Child::told(network.clone()).await?);
    }
    let child = child.as_ref().unwrap();
    match order {
        "work" => child.work().await,
        "token" => child.token_at_hand().await,
        other => panic!("what is {other}?"),
    }
}

/// A failure that says what was tried on which file, or any other.
fn told_apart(error: &Error) -> String {
    match error {
        Error::TokenStorage(TokenStorageError::Io { action, path, .. }) => {
            format!("failed to {action} {}", path.display())
        }
        other => format!("error {other}"),
    }
}
