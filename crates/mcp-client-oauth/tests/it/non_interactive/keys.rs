//! `private_key_jwt` (RFC 7523 §2.2, §3), verified by the testbed's own code.

use mcp_client_oauth::{
    RevocationOutcome,
    flow::{
        AccessToken, ClientIdentity, Discovery, DiscoveryOptions, IdentityOptions, TokenSet,
        discover, identify, refresh,
    },
    store::Record,
};
use mcp_oauth_testbed::{Algorithm, KeyPair};
use serde_json::json;

use super::*;

fn key(pair: &KeyPair) -> PrivateKey {
    PrivateKey::from_pem(&pair.private_pem()).unwrap()
}

/// Sets the client of [`signing`], and the grant of its credentials.
fn signed(login: Login, pair: &KeyPair) -> Login {
    let login = login.client_id("signer").private_key(key(pair));
    login.grant(Grant::ClientCredentials)
}

async fn signing(algorithm: Algorithm) -> (Fixture, KeyPair) {
    let pair = KeyPair::generate(algorithm).unwrap();
    let client = ConfidentialClient::with_key("signer", pair.public());
    (
        fixture(Testbed::builder().confidential_client(client)).await,
        pair,
    )
}

async fn discovered(fixture: &Fixture) -> Discovery {
    let options = DiscoveryOptions::default();
    discover(&fixture.platform, &fixture.server, &options)
        .await
        .unwrap()
}

#[tokio::test]
async fn each_algorithm_is_accepted_and_no_assertion_is_used_twice() {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        let (fixture, pair) = signing(algorithm).await;
        let session = fixture.login_with(|login| signed(login, &pair));
        let session = session.await.unwrap();
        session.refresh().await.unwrap();
        assert_eq!(fixture.testbed.issued_tokens().len(), 2);
        let request = fixture.last("POST", "/token");
        let expected = [
            "grant_type",
            "resource",
            "scope",
            "client_assertion_type",
            "client_assertion",
        ];
        assert_eq!(fields(&request), expected);
        assert_eq!(request.header("authorization"), None);
        assert_non_interactive(&fixture);
    }
}

#[tokio::test]
async fn an_unknown_key_is_rejected_and_the_assertion_is_not_shown() {
    let (fixture, _) = signing(Algorithm::Es256).await;
    let unknown = KeyPair::generate(Algorithm::Es256).unwrap();
    let login = fixture.login_with(|login| signed(login, &unknown));
    let error = login.await.unwrap_err();
    assert_refused(&error, "invalid_client");
    let sent = fixture.last("POST", "/token").form("client_assertion");
    assert!(!format!("{error} {error:?}").contains(&sent.unwrap()[..20]));
}

#[tokio::test]
async fn an_unsupported_algorithm_fails_before_anything_is_sent() {
    let (fixture, pair) = signing(Algorithm::Es256).await;
    let mut metadata = discovered(&fixture).await.metadata;
    metadata.token_endpoint_auth_signing_alg_values_supported = Some(vec!["RS256".to_owned()]);
    let login = fixture.login_with(|login| signed(login, &pair).server_metadata(metadata));
    let error = login.await.unwrap_err();
    assert!(matches!(
        error,
        Error::Registration(RegistrationError::SigningAlgorithm { own: "ES256", .. })
    ));
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn the_key_is_stored_with_the_record_and_another_process_signs_with_it() {
    let (fixture, pair) = signing(Algorithm::EdDsa).await;
    let login = fixture.login_with(|login| signed(login, &pair));
    drop(login.await.unwrap());
    let (session, _) = fixture.auto_advancing_session().await;
    session.refresh().await.unwrap();
    assert_eq!(fixture.testbed.issued_tokens().len(), 2);
    let record = fixture.record().await.unwrap();
    let ClientIdentity::Registered(client) = record.identity else {
        panic!("{:?}", record.identity);
    };
    assert!(client.private_key.is_some() && client.client_secret.is_none());
}

#[tokio::test]
async fn a_logout_is_signed_too() {
    let (fixture, pair) = signing(Algorithm::Es256).await;
    let session = fixture.login_with(|login| signed(login, &pair));
    let remote = session.await.unwrap().logout().await.unwrap().remote;
    assert!(matches!(remote, RevocationOutcome::Revoked), "{remote:?}");
    let request = fixture.last("POST", "/revoke");
    assert!(request.form("client_assertion").is_some() && request.form("client_id").is_none());
}

#[tokio::test]
async fn a_refresh_is_signed_for_a_registered_client_and_for_one_with_a_document() {
    let (fixture, pair) = signing(Algorithm::Es256).await;
    let mut discovery = discovered(&fixture).await;
    discovery.metadata.client_id_metadata_document_supported = true;
    let mut documented = IdentityOptions::default();
    documented.document = Some(DOCUMENT.parse().unwrap());
    documented.document_key = Some(key(&pair));
    let mut registered = IdentityOptions::default();
    let mut signer = PreregisteredClient::new("signer", None);
    signer.private_key = Some(key(&pair));
    registered.preregistered = Some(signer);
    for (client_id, known) in [(DOCUMENT, documented), ("signer", registered)] {
        let identity = identify(&fixture.platform, &discovery, &known, None, None);
        let identity = identity.await.unwrap();
        let mut tokens = TokenSet::new(AccessToken::new("spent").unwrap(), SystemTime::UNIX_EPOCH);
        tokens.refresh_token = Some(secret("of another login"));
        let record = Record::new(discovery.clone(), identity, None, tokens);
        assert!(refresh(&fixture.platform, &record).await.is_err());
        let request = fixture.last("POST", "/token");
        assert_eq!(
            fields(&request),
            [
                "grant_type",
                "refresh_token",
                "resource",
                "client_assertion_type",
                "client_assertion"
            ]
        );
        let assertion = request.form("client_assertion").unwrap();
        let claims = claims(&assertion);
        assert_eq!(claims["iss"], client_id);
        assert_eq!(claims["sub"], client_id);
        assert_eq!(claims["aud"], fixture.testbed.issuer());
    }
}

const DOCUMENT: &str = "https://app.example/client.json";

/// Returns a fixture with a client metadata document that has a key and lists these grants, and the key.
async fn documented(grants: &[&str]) -> (Fixture, PrivateKey) {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let document = json!({
        "client_id": DOCUMENT,
        "client_name": "An application",
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": grants,
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [pair.public_jwk()] },
    });
    let builder = Testbed::builder()
        .client_id_metadata_documents(true)
        .client_document(DOCUMENT, document);
    (fixture(builder).await, key(&pair))
}

#[tokio::test]
async fn a_user_logs_in_with_a_client_that_has_a_key_in_its_document() {
    let (fixture, key) = documented(&["authorization_code", "refresh_token"]).await;
    let document: url::Url = DOCUMENT.parse().unwrap();
    let with_key = |login: Login| login.client_metadata_url(document.clone(), Some(key));
    let session = fixture.login_with(with_key).await.unwrap();
    session.refresh().await.unwrap();
    assert_eq!(
        (fixture.user.opened_urls().len(), fixture.refreshes()),
        (1, 1)
    );
    for request in fixture.testbed.requests() {
        if request.path == "/token" {
            assert!(request.form("client_assertion").is_some());
            assert_eq!(request.form("client_id"), None);
        }
    }
    let without_key = |login: Login| login.client_metadata_url(document.clone(), None);
    assert!(fixture.login_with(without_key).await.is_err());
}

#[tokio::test]
async fn client_credentials_work_with_a_key_in_the_document() {
    let (fixture, key) = documented(&["client_credentials"]).await;
    let with_key = |login: Login| {
        let login = login.client_metadata_url(DOCUMENT.parse().unwrap(), Some(key));
        login.grant(Grant::ClientCredentials)
    };
    fixture.login_with(with_key).await.unwrap();
    assert_non_interactive(&fixture);
    assert_eq!(fixture.testbed.issued_tokens()[0].client_id, DOCUMENT);
}

fn claims(jwt: &str) -> serde_json::Value {
    let part = jwt.split('.').nth(1).unwrap();
    let bytes = data_encoding::BASE64URL_NOPAD.decode(part.as_bytes());
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}
