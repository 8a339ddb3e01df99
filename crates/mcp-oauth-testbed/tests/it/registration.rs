//! Registration and client authentication.

use mcp_oauth_testbed::{Fault, Testbed};
use serde_json::{Value, json};

use crate::browser::*;

async fn register_with(testbed: &Testbed, metadata: Value) -> Response {
    post_json(&endpoint(testbed, "/register"), &[], &metadata).await
}

#[tokio::test]
async fn registration_echoes_the_metadata() {
    let testbed = Testbed::start().await.unwrap();
    let metadata = json!({
        "client_name": "x", "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none",
        "software_id": "s", "application_type": "native"
    });
    let response = register_with(&testbed, metadata.clone()).await;
    assert_eq!(response.status, 201);
    for (name, value) in metadata.as_object().unwrap() {
        assert_eq!(&response.json()[name], value, "{name}");
    }
    assert!(response.json()["client_id_issued_at"].is_u64());
    assert_eq!(response.json().get("client_secret"), None);
}

#[tokio::test]
async fn redirect_uris_must_be_loopback_https_or_private() {
    let testbed = Testbed::start().await.unwrap();
    for bad in [
        json!([]),
        json!(["http://app.example/"]),
        json!(["javascript:x"]),
        json!("x"),
    ] {
        let response = register_with(&testbed, json!({ "redirect_uris": bad })).await;
        response.assert_refused(400, "invalid_redirect_uri");
    }
    for good in [
        "https://app.example/cb",
        "com.example.app:/cb",
        "http://[::1]/cb",
    ] {
        assert_eq!(
            register_with(&testbed, json!({ "redirect_uris": [good] }))
                .await
                .status,
            201
        );
    }
    let grants = json!({ "redirect_uris": [CALLBACK], "grant_types": ["password"] });
    assert_eq!(
        register_with(&testbed, grants).await.text("error"),
        "invalid_client_metadata"
    );
}

#[tokio::test]
async fn the_application_type_can_limit_the_redirect_uris() {
    let testbed = start(Testbed::builder().strict_application_type(true)).await;
    let metadata =
        |kind: Value, uri: &str| json!({ "redirect_uris": [uri], "application_type": kind });
    for (kind, uri, status) in [
        (json!("native"), CALLBACK, 201),
        (json!("web"), CALLBACK, 400),
        (Value::Null, CALLBACK, 400),
        (json!("web"), "https://app.example/cb", 201),
    ] {
        assert_eq!(
            register_with(&testbed, metadata(kind.clone(), uri))
                .await
                .status,
            status,
            "{kind} {uri}"
        );
    }
}

/// Logs in and exchanges the code with HTTP Basic; `joined` is the text before Base64.
async fn basic_exchange(testbed: &Testbed, client: &str, joined: &str) -> Response {
    let code = code(testbed, client, "notes:read").await;
    let server = testbed.server_url();
    let mut pairs = exchange_form(client, &code, server.as_str()).to_vec();
    pairs.retain(|(name, _)| *name != "client_id");
    post_basic(&endpoint(testbed, "/token"), joined, &pairs).await
}

#[tokio::test]
async fn basic_credentials_are_form_decoded() {
    let testbed = start(Testbed::builder().client("my:app", Some("p:ss %+ü=&"))).await;
    let encoded = "my%3Aapp:p%3Ass+%25%2B%C3%BC%3D%26";
    assert_eq!(
        basic_exchange(&testbed, "my:app", encoded).await.status,
        200
    );
    let raw = basic_exchange(&testbed, "my:app", "my:app:p:ss %+ü=&").await;
    raw.assert_refused(401, "invalid_client");
    assert!(raw.header("www-authenticate").starts_with("Basic "));
}

#[tokio::test]
async fn a_registered_secret_must_be_sent_by_the_registered_method() {
    let testbed = Testbed::start().await.unwrap();
    let metadata = json!({
        "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"
    });
    let response = register_with(&testbed, metadata).await;
    let (client, secret) = (response.text("client_id"), response.text("client_secret"));
    assert_eq!(response.json()["client_secret_expires_at"], 0);
    let server = testbed.server_url();
    let token = endpoint(&testbed, "/token");
    for (given, status) in [
        (Some(secret.as_str()), 200),
        (Some("wrong"), 401),
        (None, 401),
    ] {
        let code = code(&testbed, &client, "notes:read").await;
        let mut pairs = exchange_form(&client, &code, server.as_str()).to_vec();
        pairs.extend(given.map(|secret| ("client_secret", secret)));
        assert_eq!(post_form(&token, &pairs).await.status, status, "{given:?}");
    }
    let basic = basic_exchange(&testbed, &client, &format!("{client}:{secret}")).await;
    assert_eq!(basic.status, 401);
}

#[tokio::test]
async fn two_authentication_methods_at_once_are_refused() {
    let testbed = start(Testbed::builder().client("app", Some("secret"))).await;
    let pairs = [("grant_type", "refresh_token"), ("client_secret", "secret")];
    let response = post_basic(&endpoint(&testbed, "/token"), "app:secret", &pairs).await;
    response.assert_refused(400, "invalid_request");
}

#[tokio::test]
async fn a_server_can_issue_a_secret_to_every_client() {
    let testbed = start(Testbed::builder().confidential_registrations(true)).await;
    let metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    let response = register_with(&testbed, metadata).await;
    assert_eq!(
        response.text("token_endpoint_auth_method"),
        "client_secret_basic"
    );
    assert!(response.text("client_secret").starts_with("secret_"));

    let only_none = start(
        Testbed::builder()
            .confidential_registrations(true)
            .client_auth_methods(&["none"]),
    )
    .await;
    let metadata = json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none" });
    let response = register_with(&only_none, metadata).await;
    assert_eq!(response.text("token_endpoint_auth_method"), "none");
    assert!(response.text("client_secret").starts_with("secret_"));
    let client = response.text("client_id");
    let code = code(&only_none, &client, "notes:read").await;
    assert_eq!(exchange(&only_none, &client, &code).await.status, 200);
}

#[tokio::test]
async fn a_document_url_is_a_client_id_if_it_is_supported() {
    let id = "https://app.example/client.json";
    let testbed = start(Testbed::builder().client_id_metadata_documents(true)).await;
    let metadata = server_metadata(&testbed).await;
    assert_eq!(metadata["client_id_metadata_document_supported"], true);
    let code = code(&testbed, id, "notes:read").await;
    assert_eq!(exchange(&testbed, id, &code).await.status, 200);

    let without = Testbed::start().await.unwrap();
    assert!(approved(&without, id).await.is_err());
}

#[tokio::test]
async fn registration_can_be_disabled() {
    let testbed = start(Testbed::builder().dynamic_registration(false)).await;
    let metadata = server_metadata(&testbed).await;
    assert_eq!(metadata.get("registration_endpoint"), None);
    assert_eq!(
        register_with(&testbed, json!({ "redirect_uris": [CALLBACK] }))
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn faults_change_the_registration_response() {
    let testbed = start(
        Testbed::builder()
            .fault(Fault::RegistrationField(
                "client_secret_expires_at".to_owned(),
                Value::Null,
            ))
            .fault(Fault::RegistrationWithout("client_id".to_owned())),
    )
    .await;
    let response = register_with(&testbed, json!({ "redirect_uris": [CALLBACK] })).await;
    assert_eq!(response.json().get("client_id"), None);
    assert_eq!(response.json()["client_secret_expires_at"], Value::Null);
}
