//! An MCP client over authorized requests: both wires, both kinds of answer, and a token that is
//! refused in the middle.

use std::{collections::HashMap, sync::Arc};

use mcp_client_oauth::{
    InteractiveSession, LoginOptions, Session,
    mcp::{AuthorizedClient, connect, connect_with_lifecycle},
};
use mcp_oauth_testbed::{Answers, Fault, Peer, PrmForm, Testbed, Wire};
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
    let client = bounded(Box::pin(connect(Arc::new(session.clone()))))
        .await
        .unwrap();
    (fixture, session, client)
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

/// Every request to the MCP endpoint, but for the question of discovery, had a token.
fn assert_authorized(fixture: &Fixture) {
    let requests = fixture.testbed.requests();
    let bare = requests.iter().filter(|request| request.path == "/mcp");
    let bare = bare
        .filter(|request| !request.headers.contains_key("authorization"))
        .count();
    assert_eq!(bare, 1);
}

#[tokio::test]
async fn tools_are_listed_and_called_over_both_wires_and_both_kinds_of_answer() {
    for wire in [Wire::Both, Wire::Stateful, Wire::Stateless] {
        for answers in [Answers::Json, Answers::Sse] {
            let (fixture, _, client) =
                connected(Testbed::builder().wire(wire).answers(answers)).await;
            assert_eq!(client.list_all_tools().await.unwrap().len(), 4);
            adds(&client).await;
            bounded(client.cancel()).await.unwrap();
            assert_authorized(&fixture);
        }
    }
}

#[tokio::test]
async fn a_version_that_is_known_is_spoken_without_a_negotiation() {
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
        let client = bounded(Box::pin(connect_with_lifecycle(
            Arc::new(session),
            lifecycle,
        )))
        .await
        .unwrap();
        let requests = fixture.testbed.requests();
        assert_eq!(requests[before].json().unwrap()["method"], first);
        adds(&client).await;
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_that_is_refused_in_the_middle_is_replaced() {
    for wire in [Wire::Stateful, Wire::Stateless] {
        let (fixture, session, client) = connected(Testbed::builder().wire(wire)).await;
        adds(&client).await;
        let before = session.record().tokens.access_token;
        fixture.testbed.revoke_access_tokens();
        adds(&client).await;
        assert_ne!(session.record().tokens.access_token, before);
        assert_eq!(fixture.refreshes(), 1);
        bounded(client.cancel()).await.unwrap();
    }
}

/// The OAuth example of rmcp 3.11 (`complex_auth_streamhttp`) responds so to a token that it does not
/// know: `HTTP/1.1 401 Unauthorized`, no `WWW-Authenticate`, no body.
#[tokio::test]
async fn a_401_without_a_challenge_refuses_the_token_as_well() {
    for wire in [Wire::Stateful, Wire::Stateless] {
        let (fixture, session, client) = connected(Testbed::builder().wire(wire)).await;
        let before = session.record().tokens.access_token;
        fixture.testbed.set_fault(Fault::NoChallenge);
        fixture.testbed.revoke_access_tokens();
        adds(&client).await;
        assert_ne!(session.record().tokens.access_token, before);
        assert_eq!(fixture.refreshes(), 1);
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_tool_that_needs_more_asks_the_person() {
    let fixture = Fixture::with(Testbed::builder().step_up(true)).await;
    let (platform, store) = (fixture.platform.clone(), fixture.store.clone());
    let server = fixture.server.clone();
    let options = LoginOptions::default();
    let source = InteractiveSession::open(platform, store, server, options)
        .await
        .unwrap();
    let client = bounded(Box::pin(connect(Arc::new(source)))).await.unwrap();
    adds(&client).await;
    let count = call(&client, "write_note", json!({"text": "feed the cat"})).await;
    assert_eq!(count, Some(json!({"count": 2})));
    assert_eq!(fixture.person.opened().len(), 2);
    bounded(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_challenge_in_a_second_header_line_leads_to_a_login() {
    for wire in [Wire::Stateful, Wire::Stateless] {
        let custom = PrmForm::Custom("/meta".to_owned());
        let fixture = Fixture::with(Testbed::builder().wire(wire).prm_at(custom)).await;
        let url = fixture.server.as_url().join("/meta").unwrap();
        fixture.testbed.set_fault(Fault::Challenge(vec![
            "Negotiate".to_owned(),
            format!("Bearer resource_metadata=\"{url}\""),
        ]));
        let (platform, store) = (fixture.platform.clone(), fixture.store.clone());
        let options = LoginOptions::default();
        let source = InteractiveSession::open(platform, store, fixture.server.clone(), options)
            .await
            .unwrap();
        let client = bounded(Box::pin(connect(Arc::new(source)))).await.unwrap();
        fixture.testbed.revoke_everything();
        adds(&client).await;
        assert_eq!(fixture.person.opened().len(), 2);
        bounded(client.cancel()).await.unwrap();
    }
}

#[tokio::test]
async fn a_missing_login_is_found_before_the_server_is_asked() {
    let fixture = Fixture::start().await;
    let session = fixture.login().await.unwrap();
    fixture.store.forget(&fixture.key()).await.unwrap();
    fixture.pass(std::time::Duration::from_secs(300));
    let asked = fixture.testbed.count(Peer::Mcp, "POST", "/mcp");
    assert!(connect(Arc::new(session)).await.is_err());
    assert_eq!(fixture.testbed.count(Peer::Mcp, "POST", "/mcp"), asked);
}

#[tokio::test]
async fn a_token_goes_to_no_other_place_than_its_server() {
    let (fixture, session, client) = connected(Testbed::builder()).await;
    let foreign = Testbed::builder().open(true).start().await.unwrap();
    let uri: Arc<str> = foreign.server_url().as_str().into();
    let authorized = AuthorizedClient::new(Arc::new(session)).unwrap();
    let gone = authorized
        .delete_session(uri, "session".into(), None, HashMap::default())
        .await;
    assert!(gone.unwrap_err().to_string().contains("is not part of"));
    assert!(foreign.requests().is_empty());
    drop((fixture, client));
}
