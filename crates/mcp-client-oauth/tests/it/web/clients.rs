//! The clients of a web application: confidential by a secret or a key, or with a metadata document that the
//! application serves.

use mcp_client_oauth::{
    error::RegistrationError,
    flow::{ClientIdentity, PrivateKey, client_metadata_document},
    platform::{Clock as _, SystemClock},
};
use mcp_oauth_testbed::{Algorithm, KeyPair};
use serde_json::json;

use super::*;

const DOCUMENT: &str = "https://app.example/client.json";

fn key(pair: &KeyPair) -> PrivateKey {
    PrivateKey::from_pem(&pair.private_pem()).unwrap()
}

#[tokio::test]
async fn a_client_with_a_secret_authenticates_on_the_host_that_finishes() {
    let builder = Testbed::builder().client("web", Some("planted-secret"));
    let app = Application::with(builder).await;
    let login = app.login("alice").client_id("web");
    let session = app.run(login.client_secret("planted-secret")).await;
    let session = session.unwrap();
    assert!(
        app.fixture
            .last("POST", "/token")
            .header("authorization")
            .is_some()
    );
    session.refresh().await.unwrap();
    assert_eq!(app.fixture.posts("/register"), 0);
}

#[tokio::test]
async fn a_client_with_a_served_document_and_a_key_signs_on_the_host_that_finishes() {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let url: Url = DOCUMENT.parse().unwrap();
    let redirect = [REDIRECT.parse().unwrap()];
    let document = client_metadata_document(&url, "Notes", &redirect, Some(&key(&pair))).unwrap();
    let app = Application::with(Testbed::builder().client_document(DOCUMENT, document)).await;
    app.fixture.clock.set(SystemClock::default().now());
    let login = app.login("alice");
    let login = login.client_metadata_url(url.clone(), Some(key(&pair)));
    let session = app.run(login).await.unwrap();
    let request = app.fixture.last("POST", "/token");
    assert!(request.form("client_assertion").is_some());
    session.refresh().await.unwrap();
    let ClientIdentity::SignedDocument { url: used, .. } = session.record().unwrap().identity
    else {
        panic!("another client was used");
    };
    assert_eq!(used, url);
}

#[test]
fn the_served_document_has_what_the_servers_read() {
    let url: Url = DOCUMENT.parse().unwrap();
    let document = |redirect: &[&str]| {
        let redirect: Vec<Url> = redirect.iter().map(|uri| uri.parse().unwrap()).collect();
        client_metadata_document(&url, "Notes", &redirect, None).unwrap()
    };
    let web = document(&[REDIRECT]);
    assert_eq!(web["client_id"], DOCUMENT);
    assert_eq!(web["client_name"], "Notes");
    assert_eq!(web["application_type"], "web");
    assert_eq!(web["redirect_uris"], json!([REDIRECT]));
    assert_eq!(web["token_endpoint_auth_method"], "none");
    assert!(web.get("jwks").is_none());
    for native in [
        &[][..],
        &["http://127.0.0.1/callback"],
        &["https://localhost/callback"],
        &["com.example.app:/callback"],
    ] {
        assert_eq!(document(native)["application_type"], "native", "{native:?}");
    }
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let signed = client_metadata_document(&url, "Notes", &[], Some(&key(&pair))).unwrap();
    assert_eq!(signed["token_endpoint_auth_method"], "private_key_jwt");
    let jwk = &signed["jwks"]["keys"][0];
    assert!(jwk["x"].is_string() && jwk.get("d").is_none(), "{jwk}");
    for bad in ["http://app.example/client.json", "https://app.example/"] {
        let bad = bad.parse().unwrap();
        let error = client_metadata_document(&bad, "Notes", &[], None).unwrap_err();
        assert!(matches!(error, RegistrationError::Document(_)), "{error}");
    }
}
