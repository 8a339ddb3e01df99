//! An MCP client over authorized requests: both protocol eras, both response types, and a token that
//! is rejected during the session.

use std::{collections::HashMap, sync::Arc};

use mcp_client_oauth::{
    Session,
    adapters::rmcp::{RmcpHttpClient, connect},
    platform::ReqwestClient,
};
use mcp_oauth_testbed::{Fault, Peer, PrmForm, ProtocolEra, ResponseForm, Testbed};
use rmcp::{
    model::{CallToolRequestParams, ClientConfig, ProtocolVersion},
    service::{ClientLifecycleMode, RoleClient, RunningService},
    transport::streamable_http_client::StreamableHttpClient as _,
};
use serde_json::{Value, json};

use crate::support::{Fixture, bounded};

type Client = RunningService<RoleClient, ClientConfig>;

async fn connected(builder: mcp_oauth_testbed::Builder) -> (Fixture, Session, Client) {
    let fixture = Fixture::with(builder).await;
    let session = fixture.login().await.unwrap();
    let client = bounded(Box::pin(session.mcp())).await.unwrap();
    (fixture, session, client)
}

/// Returns a session that logs in when it needs a token.
async fn on_demand(fixture: &Fixture) -> Session {
    let login = fixture.client().login(&fixture.server);
    login.on_demand().await.unwrap()
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Option<Value> {
    let arguments = arguments.as_object().cloned().unwrap();
    let call = CallToolRequestParams::new(tool).with_arguments(arguments);
    bounded(client.call_tool(call))
        .await
        .unwrap()
        .structured_content
}

async fn adds(client: &Client) {
    let sum = call(client, "add", json!({"a": 20, "b": 22})).await;
    assert_eq!(sum, Some(json!({"sum": 42})));
}

/// Asserts that every request to the MCP endpoint had a token, except that of discovery.
fn assert_authorized(fixture: &Fixture) {
    let requests = fixture.testbed.requests();
    let bare = requests.iter().filter(|request| request.path == "/mcp");
    let bare = bare
        .filter(|request| !request.headers.contains_key("authorization"))
        .count();
    assert_eq!(bare, 1);
}

#[tokio::test]
async fn tools_are_listed_and_called_in_both_protocol_eras_and_response_types() {
    for wire in [
        ProtocolEra::All,
        ProtocolEra::Stateful,
        ProtocolEra::Stateless,
    ] {
        for form in [ResponseForm::Json, ResponseForm::Sse] {
            let (fixture, _, client) =
                connected(Testbed::builder().protocol_era(wire).response_form(form)).await;
            assert_eq!(client.list_all_tools().await.unwrap().len(), 4);
            adds(&client).await;
            bounded(client.cancel()).await.unwrap();
            assert_authorized(&fixture);
        }
    }
}

#[tokio::test]
async fn a_known_protocol_version_needs_no_negotiation() {
    let stateless = ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    };
    for (lifecycle, first) in [
        (ClientLifecycleMode::Initialize, "initialize"),
        (stateless, "server/discover"),
    ] {
        let fixture = Fixture::start().await;
        let session = fixture.login().await.unwrap();
        let before = fixture.testbed.requests().len();
        let network = ReqwestClient::default();
        let client = connect(session, &network, Some(lifecycle));
        let client = bounded(Box::pin(client)).await.unwrap();
        let requests = fixture.testbed.requests();
        assert_eq!(requests[before].json().unwrap()["method"], first);
        adds(&client).await;
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_rejected_during_a_session_is_replaced() {
    for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
        let (fixture, session, client) = connected(Testbed::builder().protocol_era(wire)).await;
        adds(&client).await;
        let before = session.record().unwrap().tokens.access_token;
        fixture.testbed.revoke_access_tokens();
        adds(&client).await;
        assert_ne!(session.record().unwrap().tokens.access_token, before);
        assert_eq!(fixture.refreshes(), 1);
        bounded(client.cancel()).await.unwrap();
    }
}

/// The OAuth example of rmcp 3.11 (`complex_auth_streamhttp`) responds to an unknown token with
/// `HTTP/1.1 401 Unauthorized`, no `WWW-Authenticate`, no body.
#[tokio::test]
async fn a_401_without_a_challenge_rejects_the_token() {
    for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
        let (fixture, session, client) = connected(Testbed::builder().protocol_era(wire)).await;
        let before = session.record().unwrap().tokens.access_token;
        fixture.testbed.set_fault(Fault::NoChallenge);
        fixture.testbed.revoke_access_tokens();
        adds(&client).await;
        assert_ne!(session.record().unwrap().tokens.access_token, before);
        assert_eq!(fixture.refreshes(), 1);
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_tool_that_needs_more_scope_starts_a_login() {
    let fixture = Fixture::with(Testbed::builder().step_up(true)).await;
    let session = on_demand(&fixture).await;
    let client = bounded(Box::pin(session.mcp())).await.unwrap();
    adds(&client).await;
    let count = call(&client, "write_note", json!({"text": "feed the cat"})).await;
    assert_eq!(count, Some(json!({"count": 2})));
    assert_eq!(fixture.user.opened_urls().len(), 2);
    bounded(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_challenge_in_a_second_header_line_leads_to_a_login() {
    for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
        let custom = PrmForm::Custom("/meta".to_owned());
        let fixture = Fixture::with(Testbed::builder().protocol_era(wire).prm_at(custom)).await;
        let url = fixture.server.as_url().join("/meta").unwrap();
        fixture.testbed.set_fault(Fault::Challenge(vec![
            "Negotiate".to_owned(),
            format!("Bearer resource_metadata=\"{url}\""),
        ]));
        let session = on_demand(&fixture).await;
        let client = bounded(Box::pin(session.mcp())).await.unwrap();
        fixture.testbed.revoke_all_tokens();
        adds(&client).await;
        assert_eq!(fixture.user.opened_urls().len(), 2);
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_login_is_reported_before_any_request() {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    fixture.store.remove(&fixture.key()).await.unwrap();
    fixture.advance(std::time::Duration::from_secs(300));
    let before = fixture.testbed.count(Peer::Mcp, "POST", "/mcp");
    assert!(session.mcp().await.is_err());
    assert_eq!(fixture.testbed.count(Peer::Mcp, "POST", "/mcp"), before);
}

#[tokio::test]
async fn a_token_is_sent_only_to_its_server() {
    let (fixture, session, client) = connected(Testbed::builder()).await;
    let third_party = Testbed::builder().unprotected(true).start().await.unwrap();
    let uri: Arc<str> = third_party.server_url().as_str().into();
    let authorized = RmcpHttpClient::new(session, &ReqwestClient::default()).unwrap();
    let gone = authorized
        .delete_session(uri, "session".into(), None, HashMap::default())
        .await;
    assert!(gone.unwrap_err().to_string().contains("is not part of"));
    assert!(third_party.requests().is_empty());
    drop((fixture, client));
}
