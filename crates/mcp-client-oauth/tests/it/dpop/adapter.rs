//! An MCP client with bound tokens: `rmcp` tells us of a challenge, and not of the nonce with it.

use mcp_client_oauth::mcp::connect;
use mcp_oauth_testbed::{Answers, Wire};
use rmcp::{
    model::{CallToolRequestParams, ClientConfig},
    service::{RoleClient, RunningService},
};

use super::*;

type Client = RunningService<RoleClient, ClientConfig>;

fn at_both(kinds: Kinds) -> Builder {
    taking(kinds)
        .dpop_nonces_at(Peer::AuthorizationServer)
        .dpop_nonces_at(Peer::Mcp)
}

async fn connected(builder: Builder) -> (Scene, Session, Client) {
    let scene = scene(builder).await;
    let session = scene
        .login_with(&options(DpopPolicy::Always))
        .await
        .unwrap();
    let client = bounded(Box::pin(connect(Arc::new(session.clone())))).await;
    (scene, session, client.unwrap())
}

async fn adds(client: &Client) -> bool {
    let arguments = json!({"a": 20, "b": 22}).as_object().cloned().unwrap();
    let call = CallToolRequestParams::new("add").with_arguments(arguments);
    let sum = bounded(client.call_tool(call)).await;
    sum.is_ok_and(|sum| sum.structured_content == Some(json!({"sum": 42})))
}

fn posts(scene: &Scene) -> usize {
    scene.testbed.count(Peer::Mcp, "POST", "/mcp")
}

#[tokio::test]
async fn tools_are_called_with_a_proof_for_each_request() {
    for wire in [Wire::Stateful, Wire::Stateless] {
        for answers in [Answers::Json, Answers::Sse] {
            let builder = taking(Kinds::Required).wire(wire).answers(answers);
            let (scene, _, client) = connected(builder).await;
            assert!(adds(&client).await && adds(&client).await);
            bounded(client.cancel()).await.unwrap();
            let requests = scene.testbed.requests();
            let requests = requests.iter().filter(|request| request.path == "/mcp");
            let bare = requests.filter(|request| request.dpop_proof().is_none());
            assert_eq!(bare.count(), 1, "the question of discovery");
        }
    }
}

#[tokio::test]
async fn a_nonce_is_learnt_although_the_transport_hides_it() {
    // Where both kinds of tokens are taken, the first of two challenges is not about the proof.
    for kinds in [Kinds::Required, Kinds::Offered] {
        for wire in [Wire::Stateful, Wire::Stateless] {
            let (scene, _, client) = connected(at_both(kinds).wire(wire)).await;
            assert!(adds(&client).await);
            let before = posts(&scene);
            assert!(adds(&client).await);
            assert_eq!(posts(&scene), before + 1);
            scene.testbed.renew_dpop_nonces();
            assert!(adds(&client).await);
            assert_eq!(posts(&scene), before + 4, "refused, asked, and sent again");
            scene.testbed.renew_dpop_nonces();
            bounded(client.cancel()).await.unwrap();
            assert_eq!(scene.refreshes(), 0);
        }
    }
}

#[tokio::test]
async fn a_server_that_wants_nonces_for_ever_is_not_asked_for_ever() {
    let (scene, _, client) = connected(at_both(Kinds::Required).wire(Wire::Stateless)).await;
    scene.testbed.set_fault(Fault::DpopNonceForEver);
    let before = posts(&scene);
    assert!(!adds(&client).await);
    assert!(posts(&scene) <= before + 5, "{}", posts(&scene) - before);
    assert_eq!(scene.refreshes(), 0);
    scene.testbed.clear_faults();
    assert!(adds(&client).await);
}

#[tokio::test]
async fn a_bound_token_that_is_refused_in_the_middle_is_replaced() {
    for kinds in [Kinds::Required, Kinds::Offered] {
        let (scene, session, client) = connected(at_both(kinds).wire(Wire::Stateless)).await;
        assert!(adds(&client).await);
        let before = session.record().tokens.access_token;
        scene.testbed.revoke_access_tokens();
        assert!(adds(&client).await);
        assert_ne!(session.record().tokens.access_token, before);
    }
}
