//! The caller gives the source of an assertion each time: files, variables and programs in a record
//! are ignored, and so are its endpoints where another process could have written it.

use std::{future::IntoFuture as _, sync::Arc};

use async_trait::async_trait;
use mcp_client_oauth::{
    AssertionSource, Client, TokenStore,
    error::{TokenRefreshError, TokenStorageError},
    flow::refresh,
};
use mcp_oauth_store::{
    Backend, Entry, LockGuard, MemoryBackend, NamePage, NameQuery, Revision, StoredEntry,
};
use serde_json::{Value, json};

use super::*;
use crate::support::bounded;

/// A third-party backend with only the required methods.
#[derive(Debug, Default)]
struct ThirdPartyBackend(MemoryBackend);

#[async_trait]
impl Backend for ThirdPartyBackend {
    async fn get(&self, name: &str) -> Result<Option<StoredEntry>, TokenStorageError> {
        self.0.get(name).await
    }

    async fn put(
        &self,
        name: &str,
        expected: Option<Revision>,
        entry: &Entry,
    ) -> Result<Revision, TokenStorageError> {
        self.0.put(name, expected, entry).await
    }

    async fn delete(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<bool, TokenStorageError> {
        self.0.delete(name, expected).await
    }

    async fn names(&self, query: &NameQuery) -> Result<NamePage, TokenStorageError> {
        self.0.names(query).await
    }

    async fn lock(&self, name: &str) -> Result<Box<dyn LockGuard>, TokenStorageError> {
        self.0.lock(name).await
    }
}

/// Programs that create a marker file when they run, and print a JWT.
struct Programs {
    fixture: Fixture,
    folder: tempfile::TempDir,
    backend: Arc<dyn Backend>,
}

impl Programs {
    /// Logs in a workload with the program `own`.
    async fn start(backend: Arc<dyn Backend>) -> Self {
        let mut fixture =
            fixture(Testbed::builder().workload_issuer("https://cluster.example")).await;
        fixture.store = TokenStore::new(backend.clone());
        let folder = tempfile::tempdir().unwrap();
        let own = Self {
            fixture,
            folder,
            backend,
        };
        let login = own.fixture.login_with(|login| own.configure(login, "own"));
        login.await.unwrap();
        own.remove_marks();
        own
    }

    /// Starts with a store that other processes can write to.
    async fn shared() -> Self {
        Self::start(Arc::new(ThirdPartyBackend::default())).await
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a new JWT, which is accepted once, to the file `jwt`.
    fn new_jwt(&self) {
        let jwt = self.fixture.testbed.workload_jwt(&json!({})).unwrap();
        let mut file = std::fs::File::create(self.path("jwt")).unwrap();
        std::io::Write::write_all(&mut file, jwt.as_bytes()).unwrap();
    }

    fn line(&self, name: &str) -> [String; 3] {
        let script = format!("touch {}; cat {}", self.path(name), self.path("jwt"));
        ["/bin/sh", "-c", &script].map(str::to_owned)
    }

    /// Sets the grant: the output of the program `name` is the assertion.
    fn configure(&self, login: Login, name: &str) -> Login {
        self.new_jwt();
        let assertion = AssertionSource::Command(self.line(name).to_vec());
        login.grant(Grant::WorkloadIdentity { assertion })
    }

    /// Returns a login of `client` with the output of the program `name`. It reuses the stored login.
    fn login(&self, client: &Client, name: &str) -> Login {
        self.configure(client.login(&self.fixture.server), name)
    }

    fn has_run(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    fn remove_marks(&self) {
        for name in ["own", "forged"] {
            let _absent = std::fs::remove_file(self.path(name));
        }
    }

    /// Changes the record as another process with access to the store could.
    async fn forge(&self, change: impl FnOnce(&mut Value)) {
        let name = format!("login {}", self.fixture.server);
        let stored = self.backend.get(&name).await.unwrap().unwrap();
        let mut record = serde_json::from_slice(stored.entry.bytes.expose()).unwrap();
        change(&mut record);
        let entry = Entry::new(Secret::new(record.to_string().into_bytes()));
        let put = self.backend.put(&name, Some(stored.revision), &entry);
        put.await.unwrap();
    }

    /// Opens the session as another process does: with the backend, and without the options.
    async fn session(&self) -> Session {
        let session = self.new_client().session(self.fixture.key()).await;
        session.unwrap()
    }

    fn new_client(&self) -> Client {
        let store = TokenStore::new(self.backend.clone());
        Client::with_platform(self.fixture.platform.clone(), store)
    }
}

fn is_source_required(error: &Error) -> bool {
    matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::NonInteractiveGrant(
            NonInteractiveGrantError::SourceRequired(_)
        ))
    )
}

/// Returns the grants of a record of version 3, with the source of the assertion.
fn forged_grants(programs: &Programs) -> [Value; 4] {
    let idp = json!({
        "token_endpoint": "https://idp.example/token",
        "client": {
            "issuer": "https://idp.example", "client_id": "me", "client_secret": null,
            "secret_expires_at": null, "method": null, "redirect_uri": null, "by_hand": true,
        },
        "id_token": {"command": programs.line("forged")},
    });
    [
        json!({"workload": {"assertion": {"command": programs.line("forged")}}}),
        json!({"workload": {"assertion": {"file": programs.path("jwt")}}}),
        json!({"workload": {"assertion": {"variable": "PATH"}}}),
        json!({"enterprise": {"idp": idp}}),
    ]
}

/// Records of version 3 contained the grant with the source of its assertion.
#[tokio::test]
async fn a_forged_record_runs_no_program_and_reads_no_file_or_variable() {
    let backends: [Arc<dyn Backend>; 2] = [
        Arc::new(ThirdPartyBackend::default()),
        Arc::new(MemoryBackend::default()),
    ];
    for backend in backends {
        let programs = Programs::start(backend).await;
        programs.new_jwt();
        let sent = programs.fixture.posts("/token");
        for grant in forged_grants(&programs) {
            let forge = |record: &mut Value| {
                record["version"] = 3.into();
                record["machine"] = grant.clone();
            };
            programs.forge(forge).await;
            let session = programs.session().await;
            let error = bounded(session.refresh()).await.unwrap_err();
            assert!(is_source_required(&error), "{grant}: {error}");
            assert_eq!(error.remedy(), Remedy::Reconfigure);
            let record = session.record().unwrap();
            let refreshed = refresh(&programs.fixture.platform, &record).await;
            assert!(
                is_source_required(&refreshed.unwrap_err().into()),
                "{grant}"
            );
            // Nor through an interactive session.
            let login = programs.new_client().login(&programs.fixture.server);
            let session = login.on_demand().await.unwrap();
            assert!(is_source_required(
                &bounded(session.refresh()).await.unwrap_err()
            ));
            // It is not written back.
            let mut lock = programs.fixture.store.lock(&session.key()).await.unwrap();
            programs
                .fixture
                .store
                .save(&mut lock, &record)
                .await
                .unwrap();
            drop(lock);
            programs
                .forge(|record| {
                    let stored = record["machine"].to_string();
                    assert_eq!(record["version"], 4);
                    for source in ["assertion", "id_token", "/bin/sh", "PATH"] {
                        assert!(!stored.contains(source), "{stored}");
                    }
                })
                .await;
        }
        assert!(!programs.has_run("forged"));
        assert_eq!(programs.fixture.posts("/token"), sent);
    }
}

#[tokio::test]
async fn the_caller_gives_the_source_each_time() {
    let programs = Programs::shared().await;
    let forged = json!({"workload": {"assertion": {"command": programs.line("forged")}}});
    let forge = |record: &mut Value| record["machine"] = forged;
    programs.forge(forge).await;

    // A session that was opened without a source gets that of a later login of the same client.
    let client = programs.new_client();
    let opened = client.session(programs.fixture.key()).await.unwrap();
    assert!(is_source_required(
        &bounded(opened.refresh()).await.unwrap_err()
    ));
    let with_source = programs.login(&client, "own").await.unwrap();
    assert!(with_source.is_reused() && !programs.has_run("own"));
    bounded(opened.refresh()).await.unwrap();
    assert!(programs.has_run("own"));

    programs.remove_marks();
    let client = programs.new_client();
    let with_source = programs.login(&client, "own").await.unwrap();
    bounded(with_source.refresh()).await.unwrap();
    assert!(programs.has_run("own"));

    // The stored token is not returned any more.
    programs.remove_marks();
    programs.fixture.advance(Duration::from_secs(3600));
    let login = programs.login(&programs.new_client(), "own");
    bounded(login.into_future()).await.unwrap();
    assert!(programs.has_run("own"));

    programs.remove_marks();
    programs.fixture.advance(Duration::from_secs(3600));
    let login = programs.login(&programs.new_client(), "own");
    let interactive = login.on_demand().await.unwrap();
    bounded(interactive.token()).await.unwrap();
    assert!(programs.has_run("own") && !programs.has_run("forged"));
}

#[tokio::test]
async fn another_source_in_the_same_process_is_a_new_login() {
    let programs = Programs::shared().await;
    let client = programs.new_client();
    for (name, runs) in [("own", false), ("forged", true), ("forged", false)] {
        programs.remove_marks();
        let login = programs.login(&client, name);
        bounded(login.into_future()).await.unwrap();
        assert_eq!(programs.has_run(name), runs, "{name}");
    }
}

/// The record has the token endpoint of another server.
#[tokio::test]
async fn an_assertion_is_not_sent_to_an_endpoint_of_a_forged_record() {
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
    let login = programs.login(&programs.new_client(), "own");
    let session = login.await.unwrap();
    bounded(session.refresh()).await.unwrap();
    assert!(programs.has_run("own"));
    forge().await;
    let fixture = &programs.fixture;
    let login = fixture.login_with(|login| programs.configure(login, "own"));
    login.await.unwrap();
    assert!(elsewhere.requests().is_empty());
}

/// A grant without a file, variable or program needs no source.
#[tokio::test]
async fn a_client_with_a_secret_keeps_working_in_a_shared_store() {
    let mut fixture = fixture(with_client()).await;
    let shared = Arc::new(ThirdPartyBackend::default());
    fixture.store = TokenStore::new(shared.clone());
    fixture.login_with(credentials).await.unwrap();
    let store = TokenStore::new(shared);
    let client = Client::with_platform(fixture.platform.clone(), store);
    let session = client.session(fixture.key()).await.unwrap();
    bounded(session.refresh()).await.unwrap();
}
