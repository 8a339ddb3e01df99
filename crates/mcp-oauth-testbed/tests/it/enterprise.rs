//! The identity provider of an enterprise, and the grant for its ID-JAGs.

use mcp_oauth_testbed::{ConfidentialClient, Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::{Value, json};

use crate::browser::*;
use crate::jwt_bearer::JWT_BEARER;
use crate::signing::now;

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";

async fn enterprise() -> Testbed {
    let provider_client = ConfidentialClient::with_secret("app-at-idp", "t0p");
    Testbed::builder()
        .client("app", Some("s3cret"))
        .client("another", Some("s3cret"))
        .enterprise(provider_client, "app")
        .start()
        .await
        .unwrap()
}

/// Sends an exchange with one parameter replaced; an empty value leaves it out.
async fn exchange_with(testbed: &Testbed, name: &str, value: &str) -> Response {
    let (issuer, server) = (testbed.issuer(), testbed.server_url());
    let id_token = testbed.id_token(&json!({})).unwrap();
    let mut pairs = vec![
        ("grant_type", EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("audience", issuer.as_str()),
        ("resource", server.as_str()),
        ("scope", "notes:read notes:write"),
        ("subject_token", id_token.as_str()),
        ("subject_token_type", ID_TOKEN),
    ];
    pairs.retain(|(key, _)| *key != name);
    pairs.push((name, value));
    let url = format!("{}/oauth2/token", testbed.identity_provider().unwrap());
    post_basic(&url, "app-at-idp:t0p", &pairs).await
}

async fn id_jag(testbed: &Testbed) -> String {
    let response = exchange_with(testbed, "none", "").await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.text("access_token")
}

async fn present(testbed: &Testbed, credentials: &str, id_jag: &str) -> Response {
    let pairs = [("grant_type", JWT_BEARER), ("assertion", id_jag)];
    post_basic(&endpoint(testbed, "/token"), credentials, &pairs).await
}

#[tokio::test]
async fn an_id_token_is_exchanged_for_an_id_jag_and_that_for_an_access_token() {
    let testbed = enterprise().await;
    let response = exchange_with(&testbed, "none", "").await.json();
    assert_eq!(response["issued_token_type"], ID_JAG);
    assert_eq!(response["token_type"], "N_A");
    let id_jag = response["access_token"].as_str().unwrap();
    let tokens = present(&testbed, "app:s3cret", id_jag).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.text("scope"), "notes:read notes:write");
    assert_eq!(tokens.json().get("refresh_token"), None);
    assert!(is_good(&testbed, &tokens.text("access_token")).await);
    let issued = &testbed.issued_tokens()[0];
    assert_eq!(issued.client_id, "app");
    assert_eq!(issued.subject.as_deref(), Some("alice@example.com"));
    let seen = testbed.count(Peer::IdentityProvider, "POST", "/oauth2/token");
    assert_eq!((seen, testbed.token_requests(JWT_BEARER)), (1, 1));
}

#[tokio::test]
async fn an_id_jag_is_accepted_once_and_from_its_client() {
    let testbed = enterprise().await;
    let id_jag = id_jag(&testbed).await;
    let stolen = present(&testbed, "another:s3cret", &id_jag).await;
    assert_eq!(stolen.text("error"), "invalid_grant");
    let unproven = present(&testbed, "app:wrong", &id_jag).await;
    assert_eq!(unproven.text("error"), "invalid_client");
    assert_eq!(present(&testbed, "app:s3cret", &id_jag).await.status, 200);
    let again = present(&testbed, "app:s3cret", &id_jag).await;
    assert_eq!(again.text("error"), "invalid_grant");
}

#[tokio::test]
async fn an_id_jag_of_another_enterprise_is_refused() {
    let (testbed, other) = (enterprise().await, enterprise().await);
    let id_jag = id_jag(&other).await;
    let response = present(&testbed, "app:s3cret", &id_jag).await;
    assert_eq!(response.text("error"), "invalid_grant");
}

#[tokio::test]
async fn an_id_token_is_not_accepted_as_an_id_jag() {
    let testbed = enterprise().await;
    let id_token = testbed
        .id_token(&json!({ "aud": testbed.issuer() }))
        .unwrap();
    let response = present(&testbed, "app:s3cret", &id_token).await;
    assert_eq!(response.text("error"), "invalid_grant");
}

#[tokio::test]
async fn an_id_jag_expires_by_the_testbed_clock() {
    let testbed = enterprise().await;
    let id_jag = id_jag(&testbed).await;
    testbed.advance(std::time::Duration::from_secs(301));
    let response = present(&testbed, "app:s3cret", &id_jag).await;
    assert_eq!(response.text("error"), "invalid_grant");
}

#[tokio::test]
async fn an_exchange_with_a_wrong_parameter_is_refused() {
    let testbed = enterprise().await;
    let token_endpoint = endpoint(&testbed, "/token");
    for (name, value, error) in [
        ("grant_type", "refresh_token", "unsupported_grant_type"),
        ("requested_token_type", ID_TOKEN, "invalid_request"),
        ("audience", token_endpoint.as_str(), "invalid_target"),
        ("audience", "", "invalid_request"),
        ("resource", "https://other.example/mcp", "invalid_target"),
        ("resource", "", "invalid_target"),
        ("scope", "admin", "invalid_scope"),
        ("subject_token_type", ID_JAG, "invalid_request"),
        ("subject_token", "x.y.z", "invalid_grant"),
    ] {
        let response = exchange_with(&testbed, name, value).await;
        assert_eq!(response.text("error"), error, "{name}={value}");
    }
}

#[tokio::test]
async fn an_invalid_id_token_is_refused() {
    let testbed = enterprise().await;
    for wrong in [
        json!({ "aud": "app" }),
        json!({ "iss": "https://other.example" }),
        json!({ "exp": now() - 1 }),
        json!({ "sub": null }),
    ] {
        let id_token = testbed.id_token(&wrong).unwrap();
        let response = exchange_with(&testbed, "subject_token", &id_token).await;
        assert_eq!(response.text("error"), "invalid_grant", "{wrong}");
    }
}

#[tokio::test]
async fn the_identity_provider_authenticates_its_client() {
    let testbed = enterprise().await;
    let url = format!("{}/oauth2/token", testbed.identity_provider().unwrap());
    for credentials in ["app-at-idp:wrong", "app:s3cret"] {
        let response = post_basic(&url, credentials, &[("grant_type", EXCHANGE)]).await;
        response.assert_refused(401, "invalid_client");
    }
}

#[tokio::test]
async fn the_metadata_of_both_servers_is_published() {
    let testbed = enterprise().await;
    let issuer = testbed.identity_provider().unwrap();
    let provider = get(&format!("{issuer}/.well-known/openid-configuration")).await;
    assert_eq!(provider.text("issuer"), issuer);
    assert_eq!(
        provider.text("token_endpoint"),
        format!("{issuer}/oauth2/token")
    );
    let keys = get(&provider.text("jwks_uri")).await.json();
    assert_eq!(keys["keys"][0]["crv"], "P-256");
    let metadata = server_metadata(&testbed).await;
    let profiles: &Value = &metadata["authorization_grant_profiles_supported"];
    assert_eq!(
        profiles,
        &json!(["urn:ietf:params:oauth:grant-profile:id-jag"])
    );
}

#[tokio::test]
async fn a_fault_of_the_identity_provider_changes_no_other_server() {
    let testbed = enterprise().await;
    testbed.set_fault(Fault::IssuedTokenType(ID_TOKEN.to_owned()));
    let response = exchange_with(&testbed, "none", "").await;
    assert_eq!(response.text("issued_token_type"), ID_TOKEN);
    testbed.clear_faults();
    testbed.set_fault(Fault::IdJagRefused("access_denied".to_owned()));
    let response = exchange_with(&testbed, "none", "").await;
    response.assert_refused(400, "access_denied");
    testbed.clear_faults();
    testbed.set_fault(Fault::Corrupt(Endpoint::IdentityProvider, Corruption::Html));
    let response = exchange_with(&testbed, "none", "").await;
    assert_eq!(response.header("content-type"), "text/html; charset=utf-8");
    testbed.clear_faults();
    testbed.set_fault(Fault::Corrupt(Endpoint::Token, Corruption::Html));
    let response = exchange_with(&testbed, "none", "").await;
    assert_eq!(response.text("issued_token_type"), ID_JAG);
}
