//! The client credentials grant, and clients that sign their assertions.

use std::time::Duration;

use mcp_oauth_testbed::{Algorithm, ConfidentialClient, KeyPair, PublicKey, Testbed};
use serde_json::{Value, json};

use crate::browser::*;
use crate::signing::*;

async fn metadata(testbed: &Testbed) -> Value {
    let path = "/.well-known/oauth-authorization-server";
    get(&endpoint(testbed, path)).await.json()
}

async fn with_client(client: ConfidentialClient) -> Testbed {
    Testbed::builder()
        .confidential_client(client)
        .start()
        .await
        .unwrap()
}

/// Sends a client credentials request with additional parameters.
async fn request_token(testbed: &Testbed, more: &[(&str, &str)]) -> Response {
    let server = testbed.server_url();
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("resource", server.as_str()),
    ];
    pairs.extend(more);
    post_token(testbed, &pairs).await
}

async fn request_signed(testbed: &Testbed, assertion: &str) -> Response {
    let signed = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
    ];
    request_token(testbed, &signed).await
}

#[tokio::test]
async fn a_client_secret_yields_an_access_token_and_no_refresh_token() {
    let testbed = with_client(ConfidentialClient::with_secret("robot", "s3cret")).await;
    let server = testbed.server_url();
    let pairs = [
        ("grant_type", "client_credentials"),
        ("resource", server.as_str()),
        ("scope", "notes:write"),
    ];
    let token = endpoint(&testbed, "/token");
    let basic = post_basic(&token, "robot:s3cret", &pairs).await;
    assert!(is_good(&testbed, &basic.text("access_token")).await);
    assert_eq!(basic.text("scope"), "notes:write");
    assert_eq!(basic.json().get("refresh_token"), None);
    let secret = [("client_id", "robot"), ("client_secret", "s3cret")];
    assert_eq!(request_token(&testbed, &secret).await.status, 200);
    let wrong = [("client_id", "robot"), ("client_secret", "secret")];
    assert_eq!(
        request_token(&testbed, &wrong).await.text("error"),
        "invalid_client"
    );
    assert_eq!(testbed.issued_tokens()[0].grant_type, "client_credentials");
    assert!(testbed.families().is_empty());

    let metadata = metadata(&testbed).await;
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!("client_credentials")));
    let algorithms = "token_endpoint_auth_signing_alg_values_supported";
    assert_eq!(metadata.get(algorithms), None);
}

#[tokio::test]
async fn a_client_can_be_limited_to_one_secret_method() {
    let client =
        ConfidentialClient::with_secret("robot", "s3cret").auth_method("client_secret_basic");
    let testbed = with_client(client).await;
    let posted = [("client_id", "robot"), ("client_secret", "s3cret")];
    assert_eq!(
        request_token(&testbed, &posted).await.text("error"),
        "invalid_client"
    );
}

#[tokio::test]
async fn an_assertion_of_any_algorithm_is_accepted_with_a_jwk() {
    for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
        let pair = KeyPair::generate(algorithm).unwrap();
        let key = PublicKey::from_jwk(&pair.public_jwk()).unwrap();
        let testbed = with_client(ConfidentialClient::with_key("robot", key)).await;
        let assertion = assertion(&testbed, &pair, "robot", &json!({}));
        let response = request_signed(&testbed, &assertion).await;
        assert_eq!(response.status, 200, "{algorithm:?}: {}", response.body);
        assert!(is_good(&testbed, &response.text("access_token")).await);
    }
}

#[tokio::test]
async fn the_metadata_lists_methods_and_algorithms_of_signing_clients() {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let testbed = with_client(ConfidentialClient::with_key("robot", pair.public())).await;
    let metadata = metadata(&testbed).await;
    let methods = &metadata["token_endpoint_auth_methods_supported"];
    assert!(
        methods
            .as_array()
            .unwrap()
            .contains(&json!("private_key_jwt"))
    );
    assert_eq!(
        metadata["token_endpoint_auth_signing_alg_values_supported"],
        json!(["ES256", "RS256", "EdDSA"])
    );
}

#[tokio::test]
async fn an_assertion_with_a_wrong_or_missing_claim_is_refused() {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let testbed = with_client(ConfidentialClient::with_key("robot", pair.public())).await;
    let token_endpoint = endpoint(&testbed, "/token");
    for wrong in [
        json!({ "aud": token_endpoint }),
        json!({ "aud": "https://other.example" }),
        json!({ "aud": null }),
        json!({ "iss": "another-client" }),
        json!({ "sub": "another-client" }),
        json!({ "sub": null }),
        json!({ "exp": now() - 1 }),
        json!({ "exp": null }),
        json!({ "iat": now() + 600 }),
        json!({ "jti": null }),
    ] {
        let response = request_signed(&testbed, &assertion(&testbed, &pair, "robot", &wrong)).await;
        let refused = (response.status, response.text("error"));
        assert_eq!(refused, (401, "invalid_client".to_owned()), "{wrong}");
    }
    let other = KeyPair::generate(Algorithm::Es256).unwrap();
    let forged = assertion(&testbed, &other, "robot", &json!({}));
    assert_eq!(request_signed(&testbed, &forged).await.status, 401);
    // None of these used up the `jti`.
    let good = assertion(&testbed, &pair, "robot", &json!({}));
    assert_eq!(request_signed(&testbed, &good).await.status, 200);
}

#[tokio::test]
async fn an_assertion_is_accepted_once_and_expires() {
    let pair = KeyPair::generate(Algorithm::EdDsa).unwrap();
    let testbed = with_client(ConfidentialClient::with_key("robot", pair.public())).await;
    let good = assertion(&testbed, &pair, "robot", &json!({}));
    assert_eq!(request_signed(&testbed, &good).await.status, 200);
    assert_eq!(request_signed(&testbed, &good).await.status, 401);
    let late = assertion(&testbed, &pair, "robot", &json!({ "jti": "two" }));
    testbed.advance(Duration::from_secs(61));
    assert_eq!(request_signed(&testbed, &late).await.status, 401);
}

#[tokio::test]
async fn only_a_confidential_client_may_use_client_credentials_and_it_needs_a_resource() {
    let builder = Testbed::builder().client("app", Some("s3cret"));
    let client = ConfidentialClient::with_secret("robot", "s3cret");
    let testbed = builder.confidential_client(client).start().await.unwrap();
    let app = [("client_id", "app"), ("client_secret", "s3cret")];
    assert_eq!(
        request_token(&testbed, &app).await.text("error"),
        "unauthorized_client"
    );
    let public = register(&testbed).await;
    let public = [("client_id", public.as_str())];
    assert_eq!(
        request_token(&testbed, &public).await.text("error"),
        "unauthorized_client"
    );
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", "s3cret"),
    ];
    let response = post_token(&testbed, &pairs).await;
    assert_eq!(response.text("error"), "invalid_target");
}

#[tokio::test]
async fn a_secret_together_with_an_assertion_is_refused() {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let testbed = with_client(ConfidentialClient::with_key("robot", pair.public())).await;
    let signed = assertion(&testbed, &pair, "robot", &json!({}));
    let both = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", signed.as_str()),
        ("client_secret", "s3cret"),
    ];
    assert_eq!(
        request_token(&testbed, &both).await.text("error"),
        "invalid_request"
    );
}
