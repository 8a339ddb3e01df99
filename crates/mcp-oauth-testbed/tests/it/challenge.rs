//! The refusals of the MCP server: 401, 403 and their challenges, also of the REST route.

use mcp_oauth_testbed::{Fault, Testbed};
use serde_json::json;

use crate::browser::*;
use crate::mcp::{initialize, session_call};

#[tokio::test]
async fn without_a_token_the_challenge_has_no_error() {
    let testbed = start(Testbed::builder().challenge_scope(Some("notes:read"))).await;
    let response = get(testbed.server_url().as_str()).await;
    let challenge = response.header("www-authenticate");
    assert_eq!(response.status, 401);
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains("scope=\"notes:read\""), "{challenge}");
    assert!(!challenge.contains("error="), "{challenge}");
}

#[tokio::test]
async fn a_bad_token_is_invalid_and_a_token_in_the_query_is_ignored() {
    let testbed = Testbed::start().await.unwrap();
    let response = get_with(testbed.server_url().as_str(), "nonsense").await;
    assert!(
        response
            .header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
    let login = login(&testbed, "notes:read").await;
    let url = format!(
        "{}/notes?access_token={}",
        testbed.server_url(),
        login.access
    );
    assert_eq!(get(&url).await.status, 401);
}

#[tokio::test]
async fn the_challenge_can_be_replaced_or_left_out() {
    let lines = vec!["Basic realm=\"x\"".to_owned(), "Bearer scope=a".to_owned()];
    let testbed = start(Testbed::builder().fault(Fault::Challenge(lines.clone()))).await;
    let response = get(testbed.server_url().as_str()).await;
    let seen: Vec<&str> = response
        .headers
        .get_all("www-authenticate")
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    assert_eq!(seen, lines);
    testbed.set_fault(Fault::NoChallenge);
    let response = get(testbed.server_url().as_str()).await;
    assert_eq!(
        (response.status, response.header("www-authenticate")),
        (401, "")
    );
}

#[tokio::test]
async fn every_token_can_be_refused() {
    let testbed = Testbed::start().await.unwrap();
    let login = login(&testbed, "notes:read").await;
    testbed.set_fault(Fault::RejectsEveryToken);
    assert!(!is_good(&testbed, &login.access).await);
    testbed.clear_faults();
    assert!(is_good(&testbed, &login.access).await);
}

#[tokio::test]
async fn a_tool_may_require_another_scope() {
    let testbed = start(Testbed::builder().step_up(true)).await;
    let narrow = login(&testbed, "notes:read").await.access;
    let wide = login(&testbed, "notes:read notes:write").await.access;
    let session = initialize(&testbed, &narrow, "2025-11-25").await;
    let params = json!({ "name": "write_note", "arguments": { "text": "x" } });
    let refused = session_call(&testbed, &narrow, &session, "tools/call", &params).await;
    let challenge = refused.header("www-authenticate");
    assert_eq!(refused.status, 403);
    for part in [
        "error=\"insufficient_scope\"",
        "scope=\"notes:write\"",
        "resource_metadata=\"",
    ] {
        assert!(challenge.contains(part), "{challenge}");
    }
    let allowed = session_call(&testbed, &wide, &session, "tools/call", &params).await;
    assert_eq!(allowed.json()["result"]["structuredContent"]["count"], 2);

    testbed.require_scope("add", "math");
    let params = json!({ "name": "add", "arguments": { "a": 1, "b": 2 } });
    let refused = session_call(&testbed, &wide, &session, "tools/call", &params).await;
    assert!(
        refused
            .header("www-authenticate")
            .contains("scope=\"math\"")
    );
    let with_math = login(&testbed, "notes:read math").await.access;
    let allowed = session_call(&testbed, &with_math, &session, "tools/call", &params).await;
    assert_eq!(allowed.status, 200);
    testbed.set_fault(Fault::AlwaysInsufficientScope("moon".to_owned()));
    let never = session_call(&testbed, &with_math, &session, "tools/call", &params).await;
    assert_eq!(never.status, 403);
}

#[tokio::test]
async fn the_rest_route_requires_the_same_token_and_scopes() {
    let testbed = start(Testbed::builder().step_up(true)).await;
    let url = format!("{}/notes", testbed.server_url());
    let body = json!({ "text": "x" });
    assert_eq!(post_json(&url, &[], &body).await.status, 401);
    let narrow = format!("Bearer {}", login(&testbed, "notes:read").await.access);
    assert_eq!(
        post_json(&url, &[("authorization", &narrow)], &body)
            .await
            .status,
        403
    );
    let wide = format!("Bearer {}", login(&testbed, "notes:write").await.access);
    assert_eq!(
        post_json(&url, &[("authorization", &wide)], &body)
            .await
            .json(),
        body
    );
    let list = get_with(&url, wide.trim_start_matches("Bearer ")).await;
    assert_eq!(list.json()["notes"], json!(["buy milk"]));
}
