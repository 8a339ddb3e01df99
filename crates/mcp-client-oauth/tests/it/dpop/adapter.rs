//! An MCP client with bound tokens: `rmcp` passes on the challenge, but not the nonce with it.

use mcp_oauth_testbed::{ProtocolEra, ResponseForm};
use rmcp::{
    model::{CallToolRequestParams, ClientConfig},
    service::{RoleClient, RunningService},
};

use super::*;

type Client = RunningService<RoleClient, ClientConfig>;

fn at_both(kinds: DpopPolicy) -> Builder {
    with_token_kinds(kinds)
        .dpop_nonces_at(Peer::AuthorizationServer)
        .dpop_nonces_at(Peer::Mcp)
}

async fn connected(builder: Builder) -> (Fixture, Session, Client) {
    let fixture = fixture(builder).await;
    let session = fixture.login_with(with_dpop(Some(true))).await.unwrap();
    let client = bounded(Box::pin(session.mcp())).await;
    (fixture, session, client.unwrap())
}

async fn adds(client: &Client) -> bool {
    let arguments = json!({"a": 20, "b": 22}).as_object().cloned().unwrap();
    let call = CallToolRequestParams::new("add").with_arguments(arguments);
    let sum = bounded(client.call_tool(call)).await;
    sum.is_ok_and(|sum| sum.structured_content == Some(json!({"sum": 42})))
}

fn posts(fixture: &Fixture) -> usize {
    fixture.testbed.count(Peer::Mcp, "POST", "/mcp")
}

#[tokio::test]
async fn tools_are_called_with_a_proof_for_each_request() {
    for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
        for form in [ResponseForm::Json, ResponseForm::Sse] {
            let builder = with_token_kinds(DpopPolicy::Required)
                .protocol_era(wire)
                .response_form(form);
            let (fixture, _, client) = connected(builder).await;
            assert!(adds(&client).await && adds(&client).await);
            bounded(client.cancel()).await.unwrap();
            let requests = fixture.testbed.requests();
            let requests = requests.iter().filter(|request| request.path == "/mcp");
            let bare = requests.filter(|request| request.dpop_proof().is_none());
            assert_eq!(bare.count(), 1, "the request of discovery");
        }
    }
}

#[tokio::test]
async fn a_nonce_is_stored_although_the_transport_hides_the_response() {
    // Where both token types are accepted, the first of two challenges is not about the proof.
    for kinds in [DpopPolicy::Required, DpopPolicy::Offered] {
        for wire in [ProtocolEra::Stateful, ProtocolEra::Stateless] {
            let (fixture, _, client) = connected(at_both(kinds).protocol_era(wire)).await;
            assert!(adds(&client).await);
            let before = posts(&fixture);
            assert!(adds(&client).await);
            assert_eq!(posts(&fixture), before + 1);
            fixture.testbed.renew_dpop_nonces();
            assert!(adds(&client).await);
            assert_eq!(
                posts(&fixture),
                before + 4,
                "rejected, requested the nonce, and retried"
            );
            fixture.testbed.renew_dpop_nonces();
            bounded(client.cancel()).await.unwrap();
            assert_eq!(fixture.refreshes(), 0);
        }
    }
}

#[tokio::test]
async fn a_server_that_always_requires_a_new_nonce_is_retried_a_few_times() {
    let (fixture, _, client) =
        connected(at_both(DpopPolicy::Required).protocol_era(ProtocolEra::Stateless)).await;
    fixture.testbed.set_fault(Fault::AlwaysNewDpopNonce);
    let before = posts(&fixture);
    assert!(!adds(&client).await);
    assert!(
        posts(&fixture) <= before + 5,
        "{}",
        posts(&fixture) - before
    );
    assert_eq!(fixture.refreshes(), 0);
    fixture.testbed.clear_faults();
    assert!(adds(&client).await);
}

#[tokio::test]
async fn a_bound_token_rejected_during_a_session_is_replaced() {
    for kinds in [DpopPolicy::Required, DpopPolicy::Offered] {
        let (fixture, session, client) =
            connected(at_both(kinds).protocol_era(ProtocolEra::Stateless)).await;
        assert!(adds(&client).await);
        let before = session.record().unwrap().tokens.access_token;
        fixture.testbed.revoke_access_tokens();
        assert!(adds(&client).await);
        assert_ne!(session.record().unwrap().tokens.access_token, before);
    }
}
