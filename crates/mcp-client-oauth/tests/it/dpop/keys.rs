//! The key of a login: where it is stored, and for how long.

use mcp_client_oauth::{
    Client, Secret, TokenStore,
    error::TokenRefreshError,
    flow::{
        self, DiscoveryOptions, DpopKey, IdentityOptions, ProofGenerator, discover, identify,
        refresh,
    },
    store::Record,
};
use mcp_oauth_store::{Backend as _, EncryptedFileStore, KeySource, MemoryBackend};
use mcp_oauth_testbed::test_user::{Decision, decide};

use super::*;

/// Returns the keys of the proofs at the token endpoint, in the order of the requests.
fn keys(fixture: &Fixture) -> Vec<String> {
    proofs(fixture, "/token").iter().map(thumbprint).collect()
}

#[tokio::test]
async fn a_refresh_uses_the_stored_key() {
    let home = tempfile::tempdir().unwrap();
    let store = || {
        let source = KeySource::Provided(Secret::new([7; 32]));
        let files = EncryptedFileStore::open(home.path().join("store"), source).unwrap();
        TokenStore::new(Arc::new(files))
    };
    let mut fixture = fixture(with_token_kinds(DpopPolicy::Required)).await;
    fixture.store = store();
    fixture.login().await.unwrap();
    for refreshes in 1..4 {
        let client = Client::with_platform(fixture.platform.clone(), store());
        let session = client.session(fixture.key()).await.unwrap();
        fixture.advance(Duration::from_secs(300));
        assert_eq!(request_status(&session).await, 200);
        assert_eq!(fixture.refreshes(), refreshes);
    }
    let keys = keys(&fixture);
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| *key == keys[0]));
}

#[tokio::test]
async fn each_login_has_its_own_key_and_its_refresh_token_is_bound_to_it() {
    let (fixture, first) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    fixture.testbed.revoke_access_tokens();
    let second = fixture.login().await.unwrap();
    let (mut old, new) = (first.record().unwrap(), second.record().unwrap());
    assert_ne!(old.dpop, new.dpop);
    // A stolen refresh token is useless without this key.
    for stolen in [Some(DpopKey::generate().unwrap()), None] {
        let mut record = new.clone();
        record.dpop = stolen;
        let error = refresh(&fixture.platform, &record).await.unwrap_err();
        assert!(
            matches!(error, TokenRefreshError::Response { .. }),
            "{error}"
        );
    }
    old.tokens = refresh(&fixture.platform, &old).await.unwrap();
    assert_eq!(old.tokens.access_token.scheme(), AuthScheme::DPoP);
    // A session that finds the other login uses the key of that login.
    assert_eq!(request_status(&first).await, 200);
    assert_eq!(first.record().unwrap().dpop, new.dpop);
}

#[tokio::test]
async fn a_bearer_token_from_a_refresh_is_rejected_and_the_login_is_kept() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let before = fixture.record().await;
    let bearer = Fault::TokenField("token_type".to_owned(), json!("Bearer"));
    fixture.testbed.set_fault(bearer);
    let error = session.refresh().await.unwrap_err();
    let downgraded = matches!(
        &error,
        Error::TokenRefresh(TokenRefreshError::Response {
            cause: TokenError::TokenTypeDowngrade,
            ..
        })
    );
    assert!(downgraded, "{error}");
    assert_eq!(fixture.record().await, before);
}

#[tokio::test]
async fn tokens_are_revoked_with_a_proof() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let key = session.record().unwrap().dpop.unwrap().thumbprint();
    session.logout().await.unwrap();
    let proofs = proofs(&fixture, "/revoke");
    assert_eq!(proofs.len(), 2);
    assert!(proofs.iter().all(|proof| thumbprint(proof) == key));
}

#[tokio::test]
async fn the_low_level_steps_can_request_bound_tokens() {
    let fixture = fixture(with_token_kinds(DpopPolicy::Required)).await;
    let platform = &fixture.platform;
    let discovery = discover(platform, &fixture.server, &DiscoveryOptions::default()).await;
    let discovery = discovery.unwrap();
    assert!(discovery.requires_dpop);
    let redirect_uri = Url::parse("http://127.0.0.1:1/callback").unwrap();
    let options = IdentityOptions::default();
    let identity = identify(platform, &discovery, &options, None, Some(&redirect_uri)).await;
    let identity = identity.unwrap();
    let key = DpopKey::generate().unwrap();
    let proof_generator = Arc::new(ProofGenerator::new(
        key.clone(),
        Arc::clone(&platform.clock),
    ));
    let proofs = Some(&proof_generator);
    let request = flow::authorization_url(&discovery, &identity, &redirect_uri, None, proofs);
    let (url, pending) = request.unwrap();
    assert_eq!(parameters(&url, "dpop_jkt"), [key.thumbprint()]);
    let callback = decide(&url, Decision::Approve).await.unwrap();
    let code = pending.accept(&callback).unwrap();
    let tokens = flow::exchange(
        platform,
        &discovery,
        &identity,
        &code,
        Some(&*proof_generator),
    );
    let tokens = bounded(tokens).await.unwrap();
    let mut record = Record::new(discovery, identity, None, tokens);
    record.dpop = Some(key);
    record.tokens = refresh(platform, &record).await.unwrap();
    assert_eq!(record.tokens.access_token.scheme(), AuthScheme::DPoP);
}

/// Programs that read records up to version 2 do not know keys: they would send the token as a bearer
/// token. They reject the newer version of this record.
#[tokio::test]
async fn a_record_with_a_key_has_a_version_that_programs_without_dpop_reject() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let backend = Arc::new(MemoryBackend::default());
    let store = TokenStore::new(backend.clone());
    let mut lock = store.lock(&fixture.key()).await.unwrap();
    store
        .save(&mut lock, &session.record().unwrap())
        .await
        .unwrap();
    let name = format!("login {}", fixture.server);
    let stored = backend.get(&name).await.unwrap().unwrap();
    let record: serde_json::Value = serde_json::from_slice(stored.entry.bytes.expose()).unwrap();
    assert_eq!(record["version"], 4, "versions 1 and 2 have no key");
    assert!(record["tokens"]["access_token"]["DPoP"].is_string());
    let (again, _) = store.load(&fixture.key()).await.unwrap().unwrap();
    assert_eq!(again.dpop, session.record().unwrap().dpop);
    let token = session.token().await.unwrap();
    assert_eq!(again.tokens.access_token, token);
}

/// One login for two resources has one key.
#[tokio::test]
async fn a_shared_login_shares_its_key() {
    let mail = Arc::new(
        with_token_kinds(DpopPolicy::Required)
            .start()
            .await
            .unwrap(),
    );
    let builder = with_token_kinds(DpopPolicy::Required)
        .additional_resource(mail.server_url().as_str())
        .one_login_for_all_resources();
    let notes = fixture(builder).await;
    let issuer = json!([notes.testbed.issuer()]);
    mail.set_fault(Fault::PrmField("authorization_servers".to_owned(), issuer));
    let login = notes.login().await.unwrap();

    let mut other = Fixture::from_testbed(mail);
    other.platform = notes.platform.clone();
    other.store = notes.store.clone();
    let session = other.login_with(Login::reuse_issuer_login).await.unwrap();
    assert_eq!(notes.user.opened_urls().len(), 1);
    assert_eq!(session.record().unwrap().dpop, login.record().unwrap().dpop);
    session.refresh().await.unwrap();
    let keys = keys(&notes);
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]));

    // A login with bound tokens is not shared with one without them.
    other.store.remove(&other.key()).await.unwrap();
    let login = other.login_with(|login| login.reuse_issuer_login().dpop(false));
    login.await.unwrap_err();
    assert_eq!(notes.user.opened_urls().len(), 2);
}
