//! Renewed tokens are stored before anybody gets them, and survive a store that fails (H105, H142).

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_client_oauth::{
    Secret, TokenStore,
    error::TokenStorageError,
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
async fn a_login_whose_tokens_cannot_be_stored_has_failed() {
    let moody = Moody::new();
    let mut scene = Scene::start().await;
    scene.store = TokenStore::new(Arc::clone(&moody) as Arc<dyn Backend>);
    moody.fails.store(true, Ordering::SeqCst);
    let error = scene.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenStorage(_)), "{error}");
}
