//! Records that older and newer versions of this library wrote (docs/hostile.md H150).

use std::sync::Arc;

use mcp_client_oauth::{
    Error, Remedy, Secret, ServerUrl, TokenStore,
    error::TokenStorageError,
    flow::{Issuer, RecordedGrant},
    store::LoginKey,
};
use mcp_oauth_store::{Backend, EncryptedFileStore, Entry, MemoryBackend, Revision};
use serde_json::json;

use crate::{
    encrypted::{Home, contents},
    support::Fixture,
};

/// A record of version 1.
const VERSION_1: &str = include_str!("fixtures/record-1.json");
/// A record of version 2, which may name the login that it shares.
const VERSION_2: &str = include_str!("fixtures/record-2.json");
/// A record of version 3 from before the registered scope; it may contain a `nonce` and the source of an
/// assertion.
const VERSION_3: &str = include_str!("fixtures/record-3.json");
/// The registration of the same version.
const REGISTRATION_3: &str = r#"{"version":3,"issuer":"https://as.example","client_id":"client-1",
    "client_secret":"secret-1","secret_expires_at":null,"method":"client_secret_basic",
    "redirect_uri":"http://127.0.0.1:40233/callback","by_hand":false}"#;
/// A version that does not exist yet.
const NEWER: u64 = 99;

fn server() -> ServerUrl {
    "https://mcp.example/mcp".parse().unwrap()
}

fn name(key: &LoginKey) -> String {
    format!("login {}", key.server())
}

/// Writes a text as another version does.
async fn write(backend: &dyn Backend, name: &str, expected: Option<Revision>, text: &str) {
    let entry = Entry::new(Secret::new(text.as_bytes().to_vec()));
    backend.put(name, expected, &entry).await.unwrap();
}

async fn store_with(record: &str) -> (TokenStore, LoginKey) {
    let key = LoginKey::from(server());
    let backend = MemoryBackend::default();
    write(&backend, &name(&key), None, record).await;
    (TokenStore::new(Arc::new(backend)), key)
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn is_newer(error: &TokenStorageError) -> bool {
    matches!(
        error,
        TokenStorageError::UnsupportedVersion { version: NEWER, .. }
    )
}

#[tokio::test]
async fn a_record_of_an_older_version_is_read_and_written_in_the_current_version() {
    let shared_from = LoginKey::try_from("https://mcp.example/other")
        .unwrap()
        .with_account("work");
    for (text, shared_from) in [(VERSION_1, None), (VERSION_2, Some(shared_from))] {
        let (store, key) = store_with(text).await;
        let (record, _) = store.load(&key).await.unwrap().unwrap();
        assert_eq!(record.tokens.access_token.expose(), "at-1");
        assert_eq!(record.requested.as_ref().unwrap().to_string(), "notes:read");
        assert_eq!(record.shared_from, shared_from);
        assert!(record.non_interactive.is_none() && record.dpop.is_none());
        let mut lock = store.lock(&key).await.unwrap();
        store.save(&mut lock, &record).await.unwrap();
        let (again, _) = store.load(&key).await.unwrap().unwrap();
        assert_eq!(again, record);
    }
}

#[tokio::test]
async fn a_record_from_before_a_member_was_added_is_read_without_it() {
    let (key, backend) = (LoginKey::from(server()), Arc::new(MemoryBackend::default()));
    write(&*backend, &name(&key), None, VERSION_3).await;
    let store = TokenStore::new(backend.clone());
    let (record, _) = store.load(&key).await.unwrap().unwrap();
    let parameters: Vec<_> = record
        .discovery
        .quirks
        .authorization_params
        .iter()
        .collect();
    assert_eq!(parameters, [("audience", "notes")]);
    assert_eq!(record.discovery.scopes_left_out, 0);
    let Some(RecordedGrant::Enterprise { idp }) = &record.non_interactive else {
        panic!("{:?}", record.non_interactive);
    };
    assert_eq!(idp.client.client_secret, Some(secret("idp-secret")));
    assert!(VERSION_3.contains("id_token"));
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap().unwrap().0, record);
    // The source of an assertion is not written back.
    let written = backend.get(&name(&key)).await.unwrap().unwrap();
    let written = String::from_utf8(written.entry.bytes.expose().clone()).unwrap();
    assert!(written.contains("idp-secret") && !written.contains("id_token"));

    let backend = MemoryBackend::default();
    write(&backend, "client https://as.example", None, REGISTRATION_3).await;
    let store = TokenStore::new(Arc::new(backend));
    // The slash of an empty path makes no other issuer, and no other client.
    for issuer in ["https://as.example", "https://as.example/"].map(Issuer::from) {
        let kept = store.registration(&issuer).await.unwrap().unwrap();
        assert_eq!(
            (&kept.issuer, kept.client_id.as_str()),
            (&issuer, "client-1")
        );
        assert_eq!(serde_json::to_value(&kept.scope).unwrap(), "unknown");
        assert!(!kept.client_id_in_form.is_required());
    }
    let other = Issuer::from("https://as.example/t");
    assert_eq!(store.registration(&other).await.unwrap(), None);
}

/// Changes what is stored as JSON, and returns what is stored again after the record was read and written.
async fn rewritten(change: impl FnOnce(&mut serde_json::Value)) -> serde_json::Value {
    let mut record: serde_json::Value = serde_json::from_str(VERSION_3).unwrap();
    change(&mut record);
    let (key, backend) = (LoginKey::from(server()), Arc::new(MemoryBackend::default()));
    write(&*backend, &name(&key), None, &record.to_string()).await;
    let store = TokenStore::new(backend.clone());
    let mut lock = store.lock(&key).await.unwrap();
    let record = lock.record().unwrap().clone();
    store.save(&mut lock, &record).await.unwrap();
    let written = backend.get(&name(&key)).await.unwrap().unwrap();
    serde_json::from_slice(written.entry.bytes.expose()).unwrap()
}

/// Names in the code may change, but the stored names may not.
#[tokio::test]
async fn a_record_is_written_with_the_names_that_earlier_versions_read() {
    let other = json!({"server": "https://mcp.example/other", "account": null});
    for (pointer, value) in [
        ("/discovery/reach", json!("loopback")),
        ("/discovery/reach", json!("private-over-http")),
        ("/discovery/source", json!("legacy")),
        ("/discovery/source", json!("manual")),
        ("/discovery/quirks/resource", json!("published")),
        (
            "/discovery/quirks/resource",
            json!({"named": "api://notes"}),
        ),
        ("/discovery/quirks/form_answers", json!(true)),
        ("/discovery/quirks/pkce_unlisted", json!(true)),
        ("/discovery/quirks/authorize", json!({"audience": "notes"})),
        ("/identity", json!("unknown")),
        (
            "/identity",
            json!({"document": "https://client.example/id"}),
        ),
        ("/identity/registered/by_hand", json!(true)),
        ("/lender", other),
        ("/machine", json!("client-credentials")),
    ] {
        let written = rewritten(|record| {
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            record.pointer_mut(parent).unwrap()[member] = value.clone();
        });
        let written = written.await;
        assert_eq!(written.pointer(pointer), Some(&value), "{written}");
    }
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_left_unchanged() {
    let newer = VERSION_1.replacen("\"version\": 1", "\"version\": 99", 1);
    let (store, key) = store_with(&newer).await;
    for refused in [
        store.load(&key).await.unwrap_err(),
        store.lock(&key).await.unwrap_err(),
    ] {
        assert!(is_newer(&refused), "{refused}");
    }
    assert_eq!(store.keys().await.unwrap(), [key]);
}

/// Two versions use one directory: the newer one rewrites a record, and the registration with its issuer.
/// This version sends no request with its tokens in memory and overwrites neither; it still writes the
/// other records.
#[tokio::test]
async fn a_record_that_a_newer_version_has_written_is_neither_used_nor_overwritten() {
    let home = Home::new();
    let mut fixture = Fixture::start().await;
    let files: EncryptedFileStore = home.open();
    fixture.store = TokenStore::new(Arc::new(files.clone()));
    let session = fixture.login().await.unwrap();
    let old = LoginKey::from(server());
    write(&files, &name(&old), None, VERSION_2).await;

    let record = fixture.record().await.unwrap();
    let issuer = record.discovery.issuer().clone();
    let registration = fixture.store.registration(&issuer).await.unwrap().unwrap();
    let newer = format!("{{\"version\":{NEWER},\"other\":\"unknown\"}}");
    for name in [name(&fixture.key()), format!("client {}", issuer.as_str())] {
        let there = files.get(&name).await.unwrap().unwrap().revision;
        write(&files, &name, Some(there), &newer).await;
    }
    let before: Vec<Vec<u8>> = home.records().iter().map(|path| read(path)).collect();
    let requests = (fixture.posts("/token"), fixture.posts("/register"));

    let error = session.refresh().await.unwrap_err();
    assert!(
        matches!(&error, Error::TokenStorage(newer) if is_newer(newer)),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    assert!(
        session.token().await.is_ok(),
        "the token in memory is valid"
    );
    let error = fixture.login().await.unwrap_err();
    assert!(error.to_string().contains("99"), "{error}");
    let store = &fixture.store;
    for refused in [
        store.registration(&issuer).await.unwrap_err(),
        store.save_registration(&registration).await.unwrap_err(),
    ] {
        assert!(is_newer(&refused), "{refused}");
    }
    assert_eq!(
        (fixture.posts("/token"), fixture.posts("/register")),
        requests
    );

    // The record of this version is written, the newer ones are not.
    let mut lock = store.lock(&old).await.unwrap();
    let record = lock.record().unwrap().clone();
    let before_save = read_record(&home, &old);
    store.save(&mut lock, &record).await.unwrap();
    assert_ne!(read_record(&home, &old), before_save);
    let after: Vec<Vec<u8>> = home.records().iter().map(|path| read(path)).collect();
    let unchanged = after.iter().filter(|file| before.contains(file)).count();
    assert_eq!((unchanged, after.len()), (2, 3));
}

fn read(path: &std::path::Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// Returns the file that has the name of this record in its first line.
fn read_record(home: &Home, key: &LoginKey) -> Vec<u8> {
    let name = format!("\"name\":\"{}\"", name(key));
    let mut files = contents(&home.path()).into_iter().filter(|(path, bytes)| {
        path.extension().is_some_and(|end| end == "enc")
            && String::from_utf8_lossy(bytes).contains(&name)
    });
    files.next().unwrap().1
}
