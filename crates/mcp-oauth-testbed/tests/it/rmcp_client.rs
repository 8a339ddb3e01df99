//! Tests with another client: rmcp logs in, refreshes and calls tools, with and without sessions.

use std::time::Duration;

use mcp_oauth_testbed::test_user::{Decision, decide};
use mcp_oauth_testbed::{ProtocolEra, ResponseForm, Testbed};
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::json;
use url::Url;

use crate::browser::{CALLBACK, start};

async fn logged_in(testbed: &Testbed) -> AuthClient<reqwest::Client> {
    let mut oauth = OAuthState::new(testbed.server_url().as_str(), None)
        .await
        .unwrap();
    oauth
        .start_authorization(AuthorizationRequest::new(CALLBACK))
        .await
        .unwrap();
    let url = Url::parse(&oauth.get_authorization_url().await.unwrap()).unwrap();
    let callback = decide(&url, Decision::Approve).await.unwrap();
    oauth.handle_callback_url(callback.as_str()).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    AuthClient::new(http, oauth.into_authorization_manager().unwrap())
}

async fn connected(
    testbed: &Testbed,
    lifecycle: ClientLifecycleMode,
) -> RunningService<RoleClient, ()> {
    let config = StreamableHttpClientTransportConfig::with_uri(testbed.server_url().as_str());
    let client = logged_in(testbed).await;
    let transport = StreamableHttpClientTransport::with_client(client, config);
    ().serve_with_lifecycle(transport, lifecycle).await.unwrap()
}

async fn call_add(service: &RunningService<RoleClient, ()>) {
    let tools = service.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 4);
    let arguments = json!({ "a": 20, "b": 22 }).as_object().cloned().unwrap();
    let call = CallToolRequestParams::new("add").with_arguments(arguments);
    let response = service.call_tool(call).await.unwrap();
    assert_eq!(response.structured_content, Some(json!({ "sum": 42 })));
}

fn discover() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

#[tokio::test]
async fn rmcp_logs_in_and_calls_a_tool_in_a_session() {
    for form in [ResponseForm::Json, ResponseForm::Sse] {
        let testbed = start(
            Testbed::builder()
                .protocol_era(ProtocolEra::Stateful)
                .response_form(form),
        )
        .await;
        let service = connected(&testbed, ClientLifecycleMode::Initialize).await;
        call_add(&service).await;
        service.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn rmcp_logs_in_and_calls_a_tool_without_a_session() {
    for form in [ResponseForm::Json, ResponseForm::Sse] {
        let testbed = start(
            Testbed::builder()
                .protocol_era(ProtocolEra::Stateless)
                .response_form(form),
        )
        .await;
        let service = connected(&testbed, discover()).await;
        assert_eq!(
            service.peer_info().unwrap().protocol_version,
            ProtocolVersion::V_2026_07_28
        );
        call_add(&service).await;
        service.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn rmcp_falls_back_to_a_session_with_an_older_server() {
    let testbed = start(Testbed::builder().protocol_era(ProtocolEra::Stateful)).await;
    let lifecycle = ClientLifecycleMode::Auto {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        legacy_version: None,
    };
    let service = connected(&testbed, lifecycle).await;
    call_add(&service).await;
    service.cancel().await.unwrap();
}

#[tokio::test]
async fn rmcp_refreshes_when_its_token_is_revoked() {
    let lifetime = Duration::from_secs(3600);
    let testbed = start(Testbed::builder().access_token_lifetime(lifetime)).await;
    let service = connected(&testbed, discover()).await;
    testbed.revoke_access_tokens();
    call_add(&service).await;
    assert_eq!(testbed.token_requests("refresh_token"), 1);
    assert!(testbed.families()[0].alive);
    service.cancel().await.unwrap();
}
