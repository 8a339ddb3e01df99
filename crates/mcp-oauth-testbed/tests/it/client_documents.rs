//! Clients with the URL of their metadata document as their ID.

use mcp_oauth_testbed::{Algorithm, KeyPair, Testbed};
use serde_json::{Value, json};

use crate::browser::*;
use crate::signing::*;

const URL: &str = "https://app.example/client.json";

fn document(other: &Value) -> Value {
    let document = json!({
        "client_id": URL,
        "client_name": "An application",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
    });
    merged(document, other)
}

async fn with_document(document: Value) -> Testbed {
    let builder = Testbed::builder().client_document(URL, document);
    builder.start().await.unwrap()
}

fn signing(pair: &KeyPair) -> Value {
    document(&json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": { "keys": [pair.public_jwk()] },
    }))
}

async fn exchange_signed(testbed: &Testbed, code: &str, assertion: &str) -> Response {
    let server = testbed.server_url();
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", assertion),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
        ("resource", server.as_str()),
    ];
    post_token(testbed, &pairs).await
}

#[tokio::test]
async fn a_client_with_keys_in_its_document_must_sign() {
    let pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let testbed = with_document(signing(&pair)).await;
    let metadata = server_metadata(&testbed).await;
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array();
    assert!(methods.unwrap().contains(&json!("private_key_jwt")));

    let code = code(&testbed, URL, "notes:read").await;
    let unsigned = exchange(&testbed, URL, &code).await;
    assert_eq!(unsigned.text("error"), "invalid_client");
    let other = KeyPair::generate(Algorithm::Es256).unwrap();
    let forged = assertion(&testbed, &other, URL, &json!({}));
    let forged = exchange_signed(&testbed, &code, &forged).await;
    assert_eq!(forged.text("error"), "invalid_client");
    let good = assertion(&testbed, &pair, URL, &json!({}));
    let tokens = exchange_signed(&testbed, &code, &good).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert!(is_good(&testbed, &tokens.text("access_token")).await);
}

#[tokio::test]
async fn a_document_defines_the_redirect_uris_and_the_name() {
    let testbed = with_document(document(&json!({}))).await;
    let url = authorization_url(&testbed, &good_request(&testbed, URL));
    let page = mcp_oauth_testbed::test_user::visit(&url).await.unwrap();
    assert!(page.body.contains("An application"), "{}", page.body);
    let elsewhere = "http://127.0.0.1:9/other";
    let url = request_with(&testbed, URL, "redirect_uri", Some(elsewhere));
    let page = mcp_oauth_testbed::test_user::visit(&url).await.unwrap();
    assert_eq!(page.status, 400);
    let code = code(&testbed, URL, "notes:read").await;
    assert_eq!(exchange(&testbed, URL, &code).await.status, 200);
}

#[tokio::test]
async fn an_invalid_document_is_refused() {
    for wrong in [
        json!({ "client_id": "https://app.example/other.json" }),
        json!({ "client_id": null }),
        json!({ "redirect_uris": [] }),
        json!({ "redirect_uris": null }),
        json!({ "client_secret": "s3cret" }),
        json!({ "token_endpoint_auth_method": "client_secret_basic" }),
    ] {
        let testbed = with_document(document(&wrong)).await;
        assert!(approved(&testbed, URL).await.is_err(), "{wrong}");
    }
}
