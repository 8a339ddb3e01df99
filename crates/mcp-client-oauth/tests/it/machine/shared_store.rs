//! The source of an assertion comes from the caller, each time: what a record says of files, variables
//! and programs of this machine is ignored, and what it says of endpoints decides nothing where others
//! can have written it.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, InteractiveSession, TokenStore,
    error::{TokenRefreshError, TokenStorageError},
    platform::AssertionSource,
    refresh,
    store::{Backend, LockGuard, MemoryBackend, Revision, StoredEntry},
};
use serde_json::{Value, json};

use super::*;
use crate::support::bounded;

/// A back end of somebody else's making, which says no more than it must.
#[derive(Debug, Default)]
struct Shared(MemoryBackend);

#[async_trait]
impl Backend for Shared {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
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

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.0.lock(name).await
    }
}

/// Programs that leave a mark when they run, and print a JWT.
struct Programs {
    fixture: Fixture,
    folder: tempfile::TempDir,
    backend: Arc<dyn Backend>,
}

impl Programs {
    /// A workload is logged in by the program `ours`.
    async fn start(backend: Arc<dyn Backend>) -> Self {
        let mut fixture = fixture(Testbed::builder().wif("https://cluster.example")).await;
        fixture.store = TokenStore::new(backend.clone());
        let folder = tempfile::tempdir().unwrap();
        let own = Self {
            fixture,
            folder,
            backend,
        };
        own.fixture.login_with(&own.by("ours")).await.unwrap();
        own.forget_marks();
        own
    }

    /// In a store that others can write to.
    async fn shared() -> Self {
        Self::start(Arc::new(Shared::default())).await
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A new JWT, which is taken once, in the file `jwt`.
    fn new_jwt(&self) {
        let jwt = self.fixture.testbed.workload_jwt(&json!({})).unwrap();
        let mut file = std::fs::File::create(self.path("jwt")).unwrap();
        std::io::Write::write_all(&mut file, jwt.as_bytes()).unwrap();
    }

    fn line(&self, name: &str) -> [String; 3] {
        let script = format!("touch {}; cat {}", self.path(name), self.path("jwt"));
        ["/bin/sh", "-c", &script].map(str::to_owned)
    }

    fn grant(&self, name: &str) -> NonInteractiveGrant {
        self.new_jwt();
        let assertion = AssertionSource::Command(self.line(name).to_vec());
        NonInteractiveGrant::Workload { assertion }
    }

    /// By what the program `name` prints.
    fn by(&self, name: &str) -> LoginOptions {
        options(None, self.grant(name))
    }

    fn ran(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    fn forget_marks(&self) {
        for name in ["ours", "theirs"] {
            let _absent = std::fs::remove_file(self.path(name));
        }
    }

    /// Writes the record as somebody else does.
    async fn forge(&self, change: impl FnOnce(&mut Value)) {
        let name = format!("login {}", self.fixture.server);
        let stored = self.backend.get(&name).await.unwrap().unwrap();
        let mut record = serde_json::from_slice(stored.bytes.expose()).unwrap();
        change(&mut record);
        let bytes = Secret::new(record.to_string().into_bytes());
        let put = self.backend.put(&name, Some(stored.revision), &bytes);
        put.await.unwrap();
    }

    /// Another process: it knows the back end, and nothing of what was said here.
    async fn session(&self) -> Session {
        let (platform, key) = (self.fixture.platform.clone(), self.fixture.key());
        let store = TokenStore::new(self.backend.clone());
        Session::open(platform, store, key).await.unwrap().unwrap()
    }

    fn sessions(&self) -> Client {
        let store = TokenStore::new(self.backend.clone());
        Client::new(self.fixture.platform.clone(), store)
    }
}

fn lacks_source(error: &Error) -> bool {
    matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::Machine(
            NonInteractiveGrantError::SourceRequired(_)
        ))
    )
}

/// As version 3 wrote it: a grant with the source of its assertion.
#[tokio::test]
async fn a_forged_record_runs_no_program_and_reads_no_file_or_variable() {
    let backends: [Arc<dyn Backend>; 2] = [
        Arc::new(Shared::default()),
        Arc::new(MemoryBackend::default()),
    ];
    for backend in backends {
        let programs = Programs::start(backend).await;
        programs.new_jwt();
        let sent = programs.fixture.posts("/token");
        let idp = json!({
            "token_endpoint": "https://idp.example/token",
            "client": {
                "issuer": "https://idp.example", "client_id": "me", "client_secret": null,
                "secret_expires_at": null, "method": null, "redirect_uri": null, "by_hand": true,
            },
            "id_token": {"command": programs.line("theirs")},
        });
        for grant in [
            json!({"workload": {"assertion": {"command": programs.line("theirs")}}}),
            json!({"workload": {"assertion": {"file": programs.path("jwt")}}}),
            json!({"workload": {"assertion": {"variable": "PATH"}}}),
            json!({"enterprise": {"idp": idp}}),
        ] {
            let forge = |record: &mut Value| {
                record["version"] = 3.into();
                record["machine"] = grant.clone();
            };
            programs.forge(forge).await;
            let session = programs.session().await;
            let error = bounded(session.refresh()).await.unwrap_err();
            assert!(lacks_source(&error), "{grant}: {error}");
            assert_eq!(error.remedy(), Remedy::Reconfigure);
            let record = session.record();
            let refreshed = refresh(&programs.fixture.platform, &record).await;
            assert!(lacks_source(&refreshed.unwrap_err().into()), "{grant}");
            // Nor if somebody has logged in here in another way.
            let interactive = InteractiveSession::open(
                programs.fixture.platform.clone(),
                TokenStore::new(programs.backend.clone()),
                programs.fixture.server.clone(),
                LoginOptions::default(),
            );
            let session = interactive.await.unwrap().session().unwrap();
            assert!(lacks_source(&bounded(session.refresh()).await.unwrap_err()));
            // It is not written back.
            let mut lock = programs.fixture.store.lock(session.key()).await.unwrap();
            programs
                .fixture
                .store
                .save(&mut lock, &record)
                .await
                .unwrap();
            drop(lock);
            programs
                .forge(|record| {
                    let kept = record["machine"].to_string();
                    assert_eq!(record["version"], 4);
                    for source in ["assertion", "id_token", "/bin/sh", "PATH"] {
                        assert!(!kept.contains(source), "{kept}");
                    }
                })
                .await;
        }
        assert!(!programs.ran("theirs"));
        assert_eq!(programs.fixture.posts("/token"), sent);
    }
}

#[tokio::test]
async fn the_caller_names_the_source_each_time() {
    let programs = Programs::shared().await;
    let theirs = json!({"workload": {"assertion": {"command": programs.line("theirs")}}});
    let forge = |record: &mut Value| record["machine"] = theirs;
    programs.forge(forge).await;
    let server = &programs.fixture.server;

    let session = programs.session().await;
    let clone = session.clone();
    let session = session.with_grant(programs.grant("ours"), &DiscoveryOptions::default());
    bounded(clone.refresh()).await.unwrap();
    assert!(programs.ran("ours"));

    // A session that was opened without a source takes it later on.
    programs.forget_marks();
    let sessions = programs.sessions();
    let opened = sessions.session_or_error(session.key()).await.unwrap();
    assert!(lacks_source(&bounded(opened.refresh()).await.unwrap_err()));
    let by = programs.by("ours");
    let with_source = sessions.session_with(server, &by).await.unwrap().unwrap();
    bounded(with_source.refresh()).await.unwrap();
    assert!(programs.ran("ours"));

    // The token that is stored is not handed out any more.
    programs.forget_marks();
    programs.fixture.pass(Duration::from_secs(3600));
    let by = programs.by("ours");
    bounded(Box::pin(programs.sessions().ensure(server, &by)))
        .await
        .unwrap();
    assert!(programs.ran("ours"));

    programs.forget_marks();
    programs.fixture.pass(Duration::from_secs(3600));
    let by = programs.by("ours");
    let store = TokenStore::new(programs.backend.clone());
    let platform = programs.fixture.platform.clone();
    let interactive = InteractiveSession::open(platform, store, server.clone(), by);
    let interactive = interactive.await.unwrap();
    bounded(interactive.token()).await.unwrap();
    assert!(programs.ran("ours") && !programs.ran("theirs"));
}

#[tokio::test]
async fn another_source_in_the_same_process_is_a_new_login() {
    let programs = Programs::shared().await;
    let (server, sessions) = (&programs.fixture.server, programs.sessions());
    for (name, runs) in [("ours", false), ("theirs", true), ("theirs", false)] {
        programs.forget_marks();
        let by = programs.by(name);
        bounded(Box::pin(sessions.ensure(server, &by)))
            .await
            .unwrap();
        assert_eq!(programs.ran(name), runs, "{name}");
    }
}

/// The record names an endpoint of somebody else's.
#[tokio::test]
async fn what_our_program_says_goes_to_no_endpoint_of_a_forged_record() {
    let programs = Programs::shared().await;
    let elsewhere = Testbed::builder().start().await.unwrap();
    let endpoint = format!("{}/token", elsewhere.issuer());
    let forge = async || {
        let forge = |record: &mut Value| {
            let metadata = &mut record["discovery"]["metadata"];
            assert!(metadata["token_endpoint"].is_string(), "{metadata}");
            metadata["token_endpoint"] = endpoint.clone().into();
            let fresh_until = &mut record["discovery"]["fresh_until"]["secs_since_epoch"];
            *fresh_until = 99_999_999_999_u64.into();
        };
        programs.forge(forge).await;
    };
    forge().await;
    let grant = programs.grant("ours");
    let session = programs.session().await;
    let session = session.with_grant(grant, &DiscoveryOptions::default());
    bounded(session.refresh()).await.unwrap();
    assert!(programs.ran("ours"));
    forge().await;
    let by = programs.by("ours");
    let login = mcp_client_oauth::login(
        &programs.fixture.platform,
        &programs.fixture.store,
        &programs.fixture.server,
        &by,
    );
    bounded(Box::pin(login)).await.unwrap();
    assert!(elsewhere.requests().is_empty());
}

/// What needs no place on this machine needs no source.
#[tokio::test]
async fn a_client_with_a_secret_goes_on_in_a_shared_store() {
    let mut fixture = fixture(robots()).await;
    let shared = Arc::new(Shared::default());
    fixture.store = TokenStore::new(shared.clone());
    let by = options(Some(robot()), NonInteractiveGrant::ClientCredentials);
    fixture.login_with(&by).await.unwrap();
    let (platform, store) = (fixture.platform.clone(), TokenStore::new(shared));
    let session = Session::open(platform, store, fixture.key()).await.unwrap();
    bounded(session.unwrap().refresh()).await.unwrap();
}
