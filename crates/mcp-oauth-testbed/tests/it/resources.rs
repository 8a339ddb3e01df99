//! One authorization server that issues tokens for several resources (RFC 8707).

use mcp_oauth_testbed::Testbed;
use mcp_oauth_testbed::test_user::{Decision, decide};

use crate::browser::*;

const OTHER: &str = "https://other.example/mcp";

async fn two_resources() -> Testbed {
    let builder = Testbed::builder().additional_resource(OTHER);
    builder.start().await.unwrap()
}

/// Returns a code for these resources.
async fn code_for(testbed: &Testbed, client: &str, resources: &[&str]) -> String {
    let mut parameters = good_request(testbed, client);
    parameters.retain(|(name, _)| name != "resource");
    let resources = resources.iter().map(|&one| ("resource".into(), one.into()));
    parameters.extend(resources);
    let url = authorization_url(testbed, &parameters);
    let callback = decide(&url, Decision::Approve).await.unwrap();
    parameter(&callback, "code").unwrap_or_else(|| panic!("{callback}"))
}

async fn refresh_for(testbed: &Testbed, client: &str, token: &str, resource: &str) -> Response {
    let pairs = [
        ("grant_type", "refresh_token"),
        ("client_id", client),
        ("refresh_token", token),
        ("resource", resource),
    ];
    post_token(testbed, &pairs).await
}

#[tokio::test]
async fn a_refresh_may_request_another_granted_resource() {
    let testbed = two_resources().await;
    let server = testbed.server_url();
    let client = register(&testbed).await;
    let code = code_for(&testbed, &client, &[server.as_str(), OTHER]).await;
    let first = exchange(&testbed, &client, &code).await;
    assert!(is_good(&testbed, &first.text("access_token")).await);
    let refresh = first.text("refresh_token");
    let second = refresh_for(&testbed, &client, &refresh, OTHER).await;
    assert_eq!(second.status, 200, "{}", second.body);
    assert!(!is_good(&testbed, &second.text("access_token")).await);
    let refresh = second.text("refresh_token");
    let third = refresh_for(&testbed, &client, &refresh, server.as_str()).await;
    assert!(is_good(&testbed, &third.text("access_token")).await);

    let issued = testbed.issued_tokens();
    let resources: Vec<&str> = issued.iter().map(|token| token.resource.as_str()).collect();
    assert_eq!(resources, [server.as_str(), OTHER, server.as_str()]);
    assert_eq!(issued[1].access_token, second.text("access_token"));
    assert_eq!(testbed.families()[0].resources, [server.as_str(), OTHER]);
}

#[tokio::test]
async fn a_resource_that_was_not_granted_is_refused() {
    let testbed = two_resources().await;
    let login = login(&testbed, "notes:read").await;
    let response = refresh_for(&testbed, &login.client, &login.refresh, OTHER).await;
    assert_eq!(response.text("error"), "invalid_target");
    let code = code_for(&testbed, &login.client, &[OTHER]).await;
    let response = exchange(&testbed, &login.client, &code).await;
    assert_eq!(response.text("error"), "invalid_target");
}

#[tokio::test]
async fn two_resources_are_refused_if_the_server_has_one() {
    let testbed = Testbed::start().await.unwrap();
    let client = register(&testbed).await;
    let mut parameters = good_request(&testbed, &client);
    parameters.push(("resource".to_owned(), OTHER.to_owned()));
    let url = authorization_url(&testbed, &parameters);
    let callback = decide(&url, Decision::Approve).await.unwrap();
    let error = parameter(&callback, "error");
    assert_eq!(error.as_deref(), Some("invalid_request"));
}
