//! What a record says of places on this machine is believed only if nobody else can have written it,
//! or if the caller says the same.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Interactive, Sessions, TokenStore,
    error::{TokenRefreshError, TokenStorageError},
    platform::AssertionSource,
    store::{Backend, Held, MemoryBackend, Revision, Stored},
};
use serde_json::json;

use super::*;
use crate::support::bounded;

/// A back end of somebody else's making, which says no more than it must.
#[derive(Debug, Default)]
struct Shared(MemoryBackend);

#[async_trait]
impl Backend for Shared {
    async fn get(&self, name: &str) -> Result<Option<Stored>, TokenStorageError> {
        self.0.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        bytes: &Secret<Vec<u8>>,
    ) -> Result<Revision, TokenStorageError> {
        self.0.put(name, expected, bytes).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.0.delete(name, expected).await
    }

    async fn names(&self) -> Result<Vec<String>, TokenStorageError> {
        self.0.names().await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn Held>, TokenStorageError> {
        self.0.lock(name).await
    }
}

/// Programs that leave a mark when they run, and print a JWT.
struct Programs {
    scene: Scene,
    folder: tempfile::TempDir,
    shared: Arc<Shared>,
}

impl Programs {
    /// A workload is logged in by the program `theirs`, in a store that it shares with others.
    async fn start() -> Self {
        let mut scene = scene(Testbed::builder().wif("https://cluster.example")).await;
        let shared = Arc::new(Shared::default());
        scene.store = TokenStore::new(shared.clone());
        let folder = tempfile::tempdir().unwrap();
        let own = Self {
            scene,
            folder,
            shared,
        };
        own.scene.login_with(&own.by("theirs")).await.unwrap();
        own.forget_marks();
        own
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// By what the program `name` prints, which takes a new JWT each time.
    fn by(&self, name: &str) -> LoginOptions {
        let jwt = self.scene.testbed.workload_jwt(&json!({})).unwrap();
        let mut file = std::fs::File::create(self.path("jwt")).unwrap();
        std::io::Write::write_all(&mut file, jwt.as_bytes()).unwrap();
        let script = format!(
            "touch {mark}; cat {jwt}",
            mark = self.path(name).display(),
            jwt = self.path("jwt").display()
        );
        let line = ["/bin/sh", "-c", &script].map(str::to_owned).to_vec();
        let assertion = AssertionSource::Command(line);
        options(None, MachineGrant::Workload { assertion })
    }

    fn ran(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn forget_marks(&self) {
        let _absent = std::fs::remove_file(self.path("theirs"));
    }

    /// Another process: it knows the back end, and nothing of what was said here.
    fn stranger(&self) -> TokenStore {
        TokenStore::new(self.shared.clone())
    }

    async fn session(&self, store: TokenStore) -> Session {
        let (platform, key) = (self.scene.platform.clone(), self.scene.key());
        Session::open(platform, store, key).await.unwrap().unwrap()
    }
}

fn is_foreign(error: &Error) -> bool {
    matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::Machine(MachineGrantError::ForeignSource))
            | Error::MachineGrant(MachineGrantError::ForeignSource)
    )
}

#[tokio::test]
async fn a_program_that_a_shared_record_names_is_not_run() {
    let programs = Programs::start().await;
    let session = programs.session(programs.stranger()).await;
    let error = bounded(session.refresh()).await.unwrap_err();
    assert!(is_foreign(&error), "{error}");
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(!programs.ran("theirs"));
    // Nor if the caller has named another one.
    let sessions = Sessions::new(programs.scene.platform.clone(), programs.stranger());
    let own = programs.by("ours");
    let login = sessions.ensure(&programs.scene.server, &own);
    bounded(Box::pin(login)).await.unwrap();
    assert!(programs.ran("ours") && !programs.ran("theirs"));
}

#[tokio::test]
async fn whoever_names_the_same_program_has_it_run() {
    let programs = Programs::start().await;
    let renewed = bounded(
        programs
            .session(programs.scene.store.clone())
            .await
            .refresh(),
    )
    .await;
    assert!(programs.ran("theirs"), "{renewed:?}");
    // The token that is stored is not handed out any more.
    programs.scene.pass(Duration::from_secs(3600));
    let by = programs.by("theirs");
    programs.forget_marks();
    let (platform, store) = (programs.scene.platform.clone(), programs.stranger());
    let server = programs.scene.server.clone();
    let interactive = Interactive::open(platform, store, server, by)
        .await
        .unwrap();
    bounded(interactive.token()).await.unwrap();
    assert!(programs.ran("theirs"));
    programs.by("theirs");
    programs.forget_marks();
    let session = interactive.session().unwrap();
    bounded(session.refresh()).await.unwrap();
    assert!(programs.ran("theirs"));
}

/// The record names the program that the caller names too, and an endpoint of somebody else's.
#[tokio::test]
async fn what_our_program_says_goes_to_no_endpoint_of_a_forged_record() {
    let programs = Programs::start().await;
    let elsewhere = Testbed::builder().start().await.unwrap();
    let mut forged = programs.scene.record().await.unwrap();
    let text = serde_json::to_string(&forged).unwrap();
    let (ours, theirs) = (programs.scene.testbed.issuer(), elsewhere.issuer());
    let endpoint = (format!("{ours}/token"), format!("{theirs}/token"));
    assert!(text.contains(&endpoint.0), "{text}");
    forged = serde_json::from_str(&text.replace(&endpoint.0, &endpoint.1)).unwrap();
    let mut lock = programs
        .scene
        .store
        .lock(&programs.scene.key())
        .await
        .unwrap();
    programs.scene.store.save(&mut lock, &forged).await.unwrap();
    drop(lock);
    let by = programs.by("theirs");
    // It was said here that this program may be run, but not for that endpoint.
    let session = programs.session(programs.scene.store.clone()).await;
    let error = bounded(session.refresh()).await.unwrap_err();
    assert!(is_foreign(&error), "{error}");
    let login = mcp_client_oauth::login(
        &programs.scene.platform,
        &programs.scene.store,
        &programs.scene.server,
        &by,
    );
    bounded(Box::pin(login)).await.unwrap();
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn a_store_whose_every_writer_is_trusted_is_believed() {
    let programs = Programs::start().await;
    let store = programs.stranger().trusting_records();
    programs.by("theirs");
    bounded(programs.session(store).await.refresh())
        .await
        .unwrap();
    assert!(programs.ran("theirs"));
}

/// What needs no place on this machine needs nobody's leave.
#[tokio::test]
async fn a_client_with_a_secret_goes_on_in_a_shared_store() {
    let mut scene = scene(robots()).await;
    let shared = Arc::new(Shared::default());
    scene.store = TokenStore::new(shared.clone());
    let by = options(Some(robot()), MachineGrant::ClientCredentials);
    scene.login_with(&by).await.unwrap();
    let (platform, store) = (scene.platform.clone(), TokenStore::new(shared));
    let session = Session::open(platform, store, scene.key()).await.unwrap();
    bounded(session.unwrap().refresh()).await.unwrap();
}
