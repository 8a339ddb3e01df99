//! The JWT bearer grant: workloads.

use std::time::Duration;

use mcp_oauth_testbed::{Fault, KeyError, Testbed};
use serde_json::{Value, json};

use crate::browser::*;
use crate::signing::now;

pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

const ISSUER: &str = "https://workload.example";

async fn with_workload_issuer() -> Testbed {
    Testbed::builder()
        .workload_issuer(ISSUER)
        .start()
        .await
        .unwrap()
}

/// Sends a workload JWT with these claims to the authorization server.
async fn request_token(testbed: &Testbed, claims: &Value) -> Response {
    let server = testbed.server_url();
    let assertion = testbed.workload_jwt(claims).unwrap();
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion.as_str()),
        ("resource", server.as_str()),
    ];
    post_token(testbed, &pairs).await
}

#[tokio::test]
async fn a_workload_needs_only_an_assertion_of_its_issuer() {
    let testbed = with_workload_issuer().await;
    for audience in [testbed.issuer(), endpoint(&testbed, "/token")] {
        let response = request_token(&testbed, &json!({ "aud": audience, "sub": "agent" })).await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert!(is_good(&testbed, &response.text("access_token")).await);
        assert_eq!(response.json().get("refresh_token"), None);
    }
    let issued = &testbed.issued_tokens()[0];
    assert_eq!(issued.grant_type, JWT_BEARER);
    assert_eq!(
        (issued.client_id.as_str(), issued.subject.as_deref()),
        ("agent", Some("agent"))
    );
    let metadata = server_metadata(&testbed).await;
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!(JWT_BEARER)));
}

#[tokio::test]
async fn a_workload_that_names_a_client_must_be_that_client() {
    let builder = Testbed::builder()
        .workload_issuer(ISSUER)
        .client("app", Some("s3cret"));
    let testbed = builder.start().await.unwrap();
    let server = testbed.server_url();
    let assertion = testbed.workload_jwt(&json!({})).unwrap();
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion.as_str()),
        ("resource", server.as_str()),
    ];
    let token = endpoint(&testbed, "/token");
    let wrong = post_basic(&token, "app:wrong", &pairs).await;
    assert_eq!(wrong.text("error"), "invalid_client");
    assert_eq!(post_basic(&token, "app:s3cret", &pairs).await.status, 200);
    assert_eq!(testbed.issued_tokens()[0].client_id, "app");
}

#[tokio::test]
async fn a_workload_jwt_with_a_wrong_or_missing_claim_is_refused() {
    let testbed = with_workload_issuer().await;
    for wrong in [
        json!({ "aud": "https://other.example" }),
        json!({ "iss": "https://other.example" }),
        json!({ "exp": now() - 1 }),
        json!({ "exp": null }),
        json!({ "sub": null }),
        json!({ "jti": null }),
        json!({ "iat": null }),
        json!({ "nbf": now() + 600 }),
    ] {
        assert_eq!(
            request_token(&testbed, &wrong).await.text("error"),
            "invalid_grant",
            "{wrong}"
        );
    }
    let other = with_workload_issuer().await;
    let claims = json!({ "aud": testbed.issuer() });
    let assertion = other.workload_jwt(&claims).unwrap();
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion.as_str()),
    ];
    let response = post_token(&testbed, &pairs).await;
    assert_eq!(response.text("error"), "invalid_grant");
}

#[tokio::test]
async fn a_workload_jwt_may_be_reused_until_it_expires() {
    let testbed = with_workload_issuer().await;
    let claims = json!({ "jti": "the same", "exp": now() + 60 });
    assert_eq!(request_token(&testbed, &claims).await.status, 200);
    assert_eq!(request_token(&testbed, &claims).await.status, 200);
    testbed.advance(Duration::from_secs(61));
    assert_eq!(
        request_token(&testbed, &claims).await.text("error"),
        "invalid_grant"
    );
}

#[tokio::test]
async fn an_assertion_can_be_refused_by_a_fault() {
    let testbed = with_workload_issuer().await;
    testbed.set_fault(Fault::AssertionRefused("access_denied".to_owned()));
    let response = request_token(&testbed, &json!({})).await;
    response.assert_refused(400, "access_denied");
}

#[tokio::test]
async fn without_a_workload_issuer_no_assertion_is_accepted() {
    let testbed = Testbed::start().await.unwrap();
    assert_eq!(testbed.workload_jwt(&json!({})), Err(KeyError::Absent));
    assert_eq!(testbed.id_token(&json!({})), Err(KeyError::Absent));
    assert_eq!(testbed.identity_provider(), None);
    let other = with_workload_issuer().await;
    let assertion = other
        .workload_jwt(&json!({ "aud": testbed.issuer() }))
        .unwrap();
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion.as_str()),
    ];
    let response = post_token(&testbed, &pairs).await;
    assert_eq!(response.text("error"), "invalid_grant");
}
