//! The server of 2025-03-26, and the unprotected server.

use mcp_oauth_testbed::{Legacy, Peer, Testbed};
use serde_json::json;

use crate::browser::*;
use crate::mcp::{initialize, session_call};

const AS_PATH: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn a_legacy_server_has_its_authorization_server_on_its_own_origin() {
    let testbed = start(Testbed::builder().legacy(Legacy::Metadata)).await;
    assert_eq!(
        testbed.issuer(),
        testbed.server_url().origin().ascii_serialization()
    );
    let refused = get(testbed.server_url().as_str()).await;
    assert_eq!(refused.status, 401);
    assert!(
        !refused
            .header("www-authenticate")
            .contains("resource_metadata")
    );
    assert_eq!(
        get(&endpoint(
            &testbed,
            "/.well-known/oauth-protected-resource/mcp"
        ))
        .await
        .status,
        404
    );
    assert_eq!(
        get(&endpoint(&testbed, AS_PATH)).await.text("issuer"),
        testbed.issuer()
    );
    let login = login(&testbed, "notes:read").await;
    assert!(is_good(&testbed, &login.access).await);
    assert_eq!(
        testbed.count(Peer::AuthorizationServer, "POST", "/token"),
        1
    );
}

#[tokio::test]
async fn a_legacy_server_may_have_only_endpoints_and_need_no_resource() {
    let testbed = start(Testbed::builder().legacy(Legacy::Endpoints)).await;
    assert_eq!(get(&endpoint(&testbed, AS_PATH)).await.status, 404);
    assert_eq!(
        post_form(&endpoint(&testbed, "/revoke"), &[]).await.status,
        404
    );
    let client = register(&testbed).await;
    let url = request_with(&testbed, &client, "resource", None);
    let decision = mcp_oauth_testbed::test_user::Decision::Approve;
    let callback = mcp_oauth_testbed::test_user::decide(&url, decision)
        .await
        .unwrap();
    let code = parameter(&callback, "code").unwrap();
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", client.as_str()),
        ("code", code.as_str()),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let response = post_token(&testbed, &pairs).await;
    assert!(is_good(&testbed, &response.text("access_token")).await);
}

#[tokio::test]
async fn an_unprotected_server_sends_no_challenge_and_publishes_no_metadata() {
    let testbed = start(Testbed::builder().unprotected(true)).await;
    let session = initialize(&testbed, "", "2025-11-25").await;
    let response = session_call(
        &testbed,
        "",
        &session,
        "tools/call",
        &json!({ "name": "whoami" }),
    )
    .await;
    assert_eq!(
        response.json()["result"]["structuredContent"]["client_id"],
        json!(null)
    );
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        AS_PATH,
        "/authorize",
    ] {
        assert_eq!(get(&prm(&testbed, path)).await.status, 404, "{path}");
        assert_eq!(get(&endpoint(&testbed, path)).await.status, 404, "{path}");
    }
}

fn prm(testbed: &Testbed, path: &str) -> String {
    testbed.server_url().join(path).unwrap().to_string()
}
