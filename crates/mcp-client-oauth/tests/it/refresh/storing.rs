//! Renewed tokens are stored before anybody gets them, and survive a store that fails (H105, H142).

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
    platform::Clock as _,
    store::{Backend, Held, MemoryBackend, Revision, Stored},
};
use tokio::sync::Semaphore;

use super::*;

/// A store whose writes can fail, or wait.
#[derive(Debug)]
struct Moody {
    memory: MemoryBackend,
    fails: AtomicBool,
    /// One permit for each write that may go on.
    writes: Semaphore,
    waiting: tokio::sync::Notify,
}

impl Moody {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::default(),
            fails: AtomicBool::new(false),
            writes: Semaphore::new(1000),
            waiting: tokio::sync::Notify::new(),
        })
    }
}

#[async_trait]
impl Backend for Moody {
    async fn get(&self, name: &str) -> Result<Option<Stored>, TokenStorageError> {
        self.memory.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        self.waiting.notify_one();
        self.writes.acquire().await.unwrap().forget();
        if self.fails.load(Ordering::SeqCst) {
            let source = Arc::new(std::io::Error::other("the disk is full"));
            return Err(TokenStorageError::Backend {
                name: "moody",
                source,
            });
        }
        self.memory.put(name, expected, bytes).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.memory.delete(name, expected).await
    }

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        self.memory.names().await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn Held>, TokenStorageError> {
        self.memory.lock(name).await
    }
}

async fn logged_in_with(moody: &Arc<Moody>) -> (Scene, Session) {
    let mut scene = Scene::start().await;
    scene.store = TokenStore::new(Arc::clone(moody) as Arc<dyn Backend>);
    let session = scene.login().await.unwrap();
    (scene, session)
}

#[tokio::test]
async fn a_rotated_token_is_stored_before_anybody_gets_it() {
    let moody = Moody::new();
    let (scene, session) = logged_in_with(&moody).await;
    scene.pass(LIFE);
    let permits = moody.writes.forget_permits(usize::MAX);
    assert!(permits > 0);
    // Left over from the login.
    moody.waiting.notify_one();
    moody.waiting.notified().await;

    let asking = session.clone();
    let caller = tokio::spawn(async move { asking.token().await });
    bounded(moody.waiting.notified()).await;
    assert_eq!(scene.refreshes(), 1);
    assert_eq!(session.ready_header(), None, "it is not stored yet");
    assert!(!caller.is_finished());
    moody.writes.add_permits(1000);
    let token = bounded(caller).await.unwrap().unwrap();
    assert_eq!(scene.record().await.unwrap().tokens.access_token, token);
}

#[tokio::test]
async fn a_store_that_fails_is_told_once_and_costs_no_login() {
    let moody = Moody::new();
    let (scene, session) = logged_in_with(&moody).await;
    let stored = scene.record().await;
    scene.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    let error = session.token().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
    assert!(error.to_string().contains("the disk is full"), "{error}");
    assert_eq!(scene.record().await, stored, "the old record is intact");

    // The tokens are usable meanwhile, and nobody refreshes with the spent one.
    let token = session.token().await.unwrap();
    assert_eq!(scene.refreshes(), 1);
    moody.fails.store(false, Ordering::SeqCst);
    scene.pass(LIFE);
    assert_ne!(session.token().await.unwrap(), token);
    assert!(scene.testbed.families()[0].alive);
    assert_eq!(scene.record().await.unwrap(), session.record());
}

#[tokio::test]
async fn tokens_that_could_not_be_stored_are_stored_as_soon_as_that_works() {
    let moody = Moody::new();
    let (scene, session) = logged_in_with(&moody).await;
    scene.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();
    moody.fails.store(false, Ordering::SeqCst);
    // Nobody asks for anything; time goes by.
    scene.pass(seconds(1));
    bounded(session.settle()).await;
    assert_eq!(scene.record().await.unwrap(), session.record());
    assert_eq!(scene.refreshes(), 1);
}

/// What is stored is spent: whoever sent it would end the login.
#[tokio::test]
async fn nobody_else_may_have_the_record_before_its_new_tokens_are_stored() {
    let moody = Moody::new();
    let (scene, session) = logged_in_with(&moody).await;
    let other = Session::open(scene.platform.clone(), scene.store.clone(), scene.key()).await;
    let other = other.unwrap().unwrap();
    scene.pass(LIFE);
    moody.fails.store(true, Ordering::SeqCst);
    session.token().await.unwrap_err();

    let asking = other.clone();
    let waiting = tokio::spawn(async move { asking.token().await });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    moody.fails.store(false, Ordering::SeqCst);
    scene.pass(seconds(1));
    let token = bounded(waiting).await.unwrap().unwrap();
    assert_eq!(token, session.token().await.unwrap());
    assert_eq!(scene.refreshes(), 1);
}

#[tokio::test]
async fn a_store_that_never_recovers_is_given_up_after_an_hour() {
    let moody = Moody::new();
    let (scene, _) = logged_in_with(&moody).await;
    let (session, clock) = scene.flying_session().await;
    let began = clock.now();
    moody.fails.store(true, Ordering::SeqCst);
    session.refresh().await.unwrap_err();
    bounded(session.settle()).await;
    let took = clock.now().duration_since(began).unwrap();
    assert!((seconds(3000)..seconds(4200)).contains(&took), "{took:?}");
    // Others may have it again.
    drop(bounded(scene.store.lock(&scene.key())).await.unwrap());
}

#[tokio::test]
async fn a_login_whose_tokens_cannot_be_stored_has_failed() {
    let moody = Moody::new();
    let mut scene = Scene::start().await;
    scene.store = TokenStore::new(Arc::clone(&moody) as Arc<dyn Backend>);
    moody.fails.store(true, Ordering::SeqCst);
    let error = scene.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
}
