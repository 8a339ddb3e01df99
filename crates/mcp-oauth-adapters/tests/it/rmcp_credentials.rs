//! The credentials of `rmcp` in the stores of this crate.

use mcp_client_oauth::{TokenStore, store::LoginKey};
use mcp_oauth_adapters::rmcp_credentials::RmcpCredentials;
use rmcp::transport::auth::{CredentialStore as _, StoredCredentials};
use serde_json::json;
use test_support::wait::bounded;

fn credentials(token: &str) -> StoredCredentials {
    let document = json!({
        "client_id": "c",
        "token_response": { "access_token": token, "token_type": "bearer", "refresh_token": "rt" },
        "granted_scopes": ["notes:read"],
        "issuer": "https://as.example",
    });
    serde_json::from_value(document).unwrap()
}

fn key() -> LoginKey {
    LoginKey::try_from("https://mcp.example/mcp").unwrap()
}

async fn load_json(store: &RmcpCredentials) -> Option<serde_json::Value> {
    let loaded = store.load().await.unwrap();
    loaded.map(|credentials| serde_json::to_value(credentials).unwrap())
}

#[tokio::test]
async fn credentials_are_loaded_only_under_the_key_that_rmcp_saved_them_with() {
    let store = TokenStore::memory();
    let own = RmcpCredentials::new(&store, &key());
    let other = RmcpCredentials::new(&store, &key().with_account("work"));
    assert_eq!(load_json(&own).await, None);
    for token in ["at-1", "at-2"] {
        own.save(credentials(token)).await.unwrap();
        let kept = load_json(&own).await.unwrap();
        assert_eq!(kept["token_response"]["access_token"], token);
        assert_eq!(kept["issuer"], "https://as.example");
    }
    assert_eq!(load_json(&other).await, None);
    // The credentials of rmcp are not stored as a record of this crate.
    assert_eq!(store.keys().await.unwrap(), []);
    assert!(!format!("{own:?}").contains("at-2"));
    own.clear().await.unwrap();
    own.clear().await.unwrap();
    assert_eq!(load_json(&own).await, None);
}

#[tokio::test]
async fn refreshes_run_one_at_a_time() {
    let store = TokenStore::memory();
    let own = RmcpCredentials::new(&store, &key());
    let guard = own.acquire_refresh_guard().await.unwrap();
    let mut second = Box::pin(own.acquire_refresh_guard());
    tokio::select! {
        biased;
        _ = &mut second => panic!("two refresh at once"),
        () = tokio::task::yield_now() => {}
    }
    drop(guard);
    assert!(bounded(second).await.unwrap().is_some());
}
