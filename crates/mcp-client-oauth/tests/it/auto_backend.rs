//! `TokenStore::open("auto:")`: the store that the documentation shows.

use std::{fs, path::Path, sync::Arc};

use mcp_client_oauth::{
    Client, ServerUrl, TokenStore, error::TokenStorageError, platform::Platform,
};
use mcp_oauth_store::{Backend, EncryptedFileStore, KeyKind, KeySource};
use mcp_oauth_testbed::Testbed;
use mcp_oauth_testing::contract;

use test_support::{
    in_session,
    keychain::{Session as KeychainSession, entries},
};

use crate::{
    encrypted::{Home, password, put, sorted_names},
    support::TestUser,
};

fn open(directory: &Path) -> Result<Arc<dyn Backend>, TokenStorageError> {
    let store = TokenStore::open(&format!("auto:{}", directory.display()))?;
    Ok(Arc::clone(store.backend()))
}

/// Returns every argument of `TokenStore::open` in the documentation.
fn documented() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for folder in ["../..", "../../docs", "src", "src/adapters", "examples"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let is_text = path
                .extension()
                .is_some_and(|ext| ext == "md" || ext == "rs");
            if is_text {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut specs: Vec<String> = texts
        .iter()
        .flat_map(|text| text.split("TokenStore::open(\"").skip(1))
        .filter_map(|rest| rest.split_once('"'))
        .map(|(spec, _)| spec.to_owned())
        .collect();
    specs.sort();
    specs.dedup();
    specs
}

#[tokio::test]
async fn every_store_in_the_documentation_can_be_opened() {
    in_session!(KeychainSession::NoBus);
    let specs = documented();
    assert!(specs.contains(&"auto:".to_owned()), "{specs:?}");
    for spec in specs {
        let store = TokenStore::open(&spec).unwrap_or_else(|error| panic!("{spec}: {error}"));
        assert_eq!(store.keys().await.unwrap(), [], "{spec}");
    }
    assert!(
        !EncryptedFileStore::default_dir().unwrap().exists(),
        "opening or reading wrote a file"
    );
}

/// Recipes 1 and 2 of the guide, unchanged except for the platform.
#[tokio::test]
async fn the_first_recipes_of_the_guide_log_in_and_find_the_login_again() {
    in_session!(KeychainSession::NoBus);
    let testbed = Testbed::start().await.unwrap();
    let server: ServerUrl = testbed.server_url().as_str().parse().unwrap();
    let mut platform = Platform::default();
    platform.interaction = TestUser::approving();
    let store = TokenStore::open("auto:").unwrap();
    let client = Client::with_platform(platform.clone(), store);
    client.login(&server).await.unwrap();
    client.flush().await;
    let directory = EncryptedFileStore::default_dir().unwrap();
    assert_eq!(
        EncryptedFileStore::key_kind(&directory).unwrap(),
        Some(KeyKind::KeyFile),
        "no keychain responds here"
    );

    let again = Client::with_platform(platform.clone(), TokenStore::open("auto:").unwrap());
    let session = again.login(&server).await.unwrap();
    assert!(session.is_reused());
    assert!(session.record().unwrap().tokens.expires_at.is_some());
    assert_eq!(testbed.token_requests("authorization_code"), 1);
    let again = Client::with_platform(platform, TokenStore::open("auto:").unwrap());
    again.session(&server).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_automatic_store_keeps_the_contract() {
    in_session!(KeychainSession::NoBus);
    contract::check(open(&Home::new().path()).unwrap()).await;
    contract::check(open(&Home::new().path()).unwrap()).await;
}

#[tokio::test]
async fn a_new_automatic_store_has_its_key_in_the_keychain_that_responds() {
    in_session!(KeychainSession::Unlocked);
    let home = Home::new();
    let backend = open(&home.path()).unwrap();
    assert_eq!(sorted_names(&*backend).await, [""; 0]);
    assert_eq!(entries().await, [], "reading selected a key");
    backend.check_writable().await.unwrap();
    assert_eq!(
        EncryptedFileStore::key_kind(home.path()).unwrap(),
        Some(KeyKind::Keychain)
    );
    assert_eq!(entries().await.len(), 1);
}

/// Reading an empty store must not bind it to a kind of key that another process does not select.
#[tokio::test]
async fn a_record_that_is_written_later_with_another_kind_of_key_is_read() {
    in_session!(KeychainSession::Unlocked);
    for source in [KeySource::keychain(), KeySource::KeyFile] {
        let home = Home::new();
        let early = open(&home.path()).unwrap();
        assert!(early.get("a").await.unwrap().is_none());
        drop(early.lock("a").await.unwrap());
        let other = EncryptedFileStore::open(home.path(), source).unwrap();
        put(&other, "a", None, "content").await.unwrap();
        let stored = early.get("a").await.unwrap().unwrap();
        assert_eq!(stored.entry.bytes.expose(), b"content");
    }
}

#[tokio::test]
async fn an_automatic_store_keeps_its_key_or_reports_the_reason() {
    let home = Home::new();
    let made = EncryptedFileStore::open(home.path(), KeySource::KeyFile).unwrap();
    put(&made, "a", None, "content").await.unwrap();
    let stored = open(&home.path()).unwrap().get("a").await.unwrap();
    assert!(stored.is_some());

    let home = Home::new();
    let made = EncryptedFileStore::open(home.path(), password("right")).unwrap();
    put(&made, "a", None, "content").await.unwrap();
    let refused = open(&home.path()).map(drop);
    assert!(
        matches!(&refused, Err(TokenStorageError::PasswordNeeded(path)) if *path == home.path()),
        "{refused:?}"
    );
}
