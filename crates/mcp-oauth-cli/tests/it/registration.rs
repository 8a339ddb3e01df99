//! Messages about a scope or the device grant that the server does not grant.

use mcp_oauth_testbed::{Fault, Testbed, test_user};
use serde_json::json;

use crate::support::{Home, Running};

/// The words of the Python MCP SDK (`mcp` 2.3.0), where it redirects the browser back.
#[tokio::test]
async fn a_refused_scope_leads_to_the_option_that_requests_another() {
    let fault = Fault::CallbackError {
        error: "invalid_scope".to_owned(),
        description: Some("Client was not registered with scope notes:read".to_owned()),
    };
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let url = home.url();
    let mut running = Running::start(home.command(&["login", "notes", &url]), "").await;
    let shown = running.url().await.unwrap();
    test_user::approve(&shown).await.unwrap();
    let refused = running.end().await.ended(1);
    refused
        .says("`invalid_scope`: Client was not registered with scope notes:read")
        .says(&format!("mcp-oauth login notes {url} --scope SCOPE"));
}

#[tokio::test]
async fn a_listed_device_grant_without_an_endpoint_is_named() {
    let urn = "urn:ietf:params:oauth:grant-type:device_code";
    let listed = json!(["authorization_code", "refresh_token", urn]);
    let fault = Fault::MetadataField("grant_types_supported".to_owned(), listed);
    let home = Home::with(Testbed::builder().fault(fault)).await;
    let login = ["login", "notes", &home.url(), "--device"];
    let refused = home.run(&login).await.ended(1);
    refused
        .says("lists the device grant in `grant_types_supported`")
        .says("names no `device_authorization_endpoint`")
        .says(&format!("mcp-oauth login notes {}\n", home.url()));
}
