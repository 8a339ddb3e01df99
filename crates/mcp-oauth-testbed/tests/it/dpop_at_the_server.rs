//! DPoP proofs at the MCP server.

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mcp_oauth_testbed::{Algorithm, DpopPolicy, KeyPair, Peer, Testbed};
use serde_json::{Value, json};

use crate::browser::*;
use crate::dpop::{Holder, proof};

fn ath(token: &str) -> Value {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    json!({ "ath": BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref()) })
}

fn notes(holder: &Holder) -> String {
    format!("{}/notes", holder.testbed.server_url())
}

/// Sends `GET /mcp/notes` with a valid proof, with some claims replaced.
async fn get_notes(holder: &Holder, token: &str, other: &Value) -> Response {
    let mut claims = ath(token);
    let members = claims.as_object_mut().unwrap();
    members.extend(other.as_object().unwrap().clone());
    let proof = proof(&holder.pair, "GET", &notes(holder), &claims);
    get_proven(&notes(holder), token, &proof).await
}

fn challenges(response: &Response) -> Vec<&str> {
    let lines = response.headers.get_all("www-authenticate").iter();
    lines.map(|line| line.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_bound_token_is_accepted_with_a_proof_of_its_key() {
    let holder = Holder::required().await;
    let token = holder.tokens().await.text("access_token");
    let response = get_notes(&holder, &token, &json!({})).await;
    assert_eq!(response.status, 200, "{}", response.body);
    let url = holder.testbed.server_url();
    let ping = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let proof = proof(&holder.pair, "POST", url.as_str(), &ath(&token));
    let authorization = format!("DPoP {token}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("dpop", proof.as_str()),
    ];
    let response = post_json(url.as_str(), &headers, &ping).await;
    assert_ne!(response.status, 401, "{}", response.body);
}

#[tokio::test]
async fn a_wrong_proof_is_refused() {
    let holder = Holder::required().await;
    let token = holder.tokens().await.text("access_token");
    let server = holder.testbed.server_url();
    for wrong in [
        json!({ "ath": null }),
        ath("another token"),
        json!({ "htm": "POST" }),
        json!({ "htu": server }),
        json!({ "jti": null }),
    ] {
        let response = get_notes(&holder, &token, &wrong).await;
        assert_eq!(response.status, 401, "{wrong}");
        let challenge = challenges(&response)[0];
        assert!(challenge.starts_with("DPoP "), "{challenge}");
        assert!(
            challenge.contains("error=\"invalid_dpop_proof\""),
            "{challenge}"
        );
    }
    let good = proof(&holder.pair, "GET", &notes(&holder), &ath(&token));
    assert_eq!(get_proven(&notes(&holder), &token, &good).await.status, 200);
    assert_eq!(get_proven(&notes(&holder), &token, &good).await.status, 401);
}

#[tokio::test]
async fn a_bound_token_of_another_key_is_refused() {
    let mut holder = Holder::required().await;
    let token = holder.tokens().await.text("access_token");
    holder.pair = KeyPair::generate(Algorithm::Es256).unwrap();
    let response = get_notes(&holder, &token, &json!({})).await;
    assert_eq!(response.status, 401);
    assert!(challenges(&response)[0].contains("error=\"invalid_token\""));
}

#[tokio::test]
async fn the_challenge_names_the_schemes_that_the_server_accepts() {
    for (policy, expected) in [
        (DpopPolicy::Off, vec!["Bearer"]),
        (DpopPolicy::Offered, vec!["Bearer", "DPoP"]),
        (DpopPolicy::Required, vec!["DPoP"]),
    ] {
        let testbed = start(Testbed::builder().dpop(policy)).await;
        let response = get(&format!("{}/notes", testbed.server_url())).await;
        let lines = challenges(&response);
        let schemes = lines.iter().map(|line| line.split(' ').next().unwrap());
        assert_eq!(schemes.collect::<Vec<_>>(), expected, "{policy:?}");
        for line in lines {
            assert!(line.contains("resource_metadata="), "{line}");
            let algorithms = line.contains("algs=\"ES256 RS256 EdDSA\"");
            assert_eq!(algorithms, line.starts_with("DPoP"), "{line}");
        }
        let path = "/.well-known/oauth-protected-resource/mcp";
        let metadata = get(testbed.server_url().join(path).unwrap().as_str())
            .await
            .json();
        let required = metadata.get("dpop_bound_access_tokens_required");
        assert_eq!(required.is_some(), policy == DpopPolicy::Required);
    }
}

#[tokio::test]
async fn a_token_is_accepted_with_its_own_scheme_only() {
    let holder = Holder::new(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    let bound = holder.tokens().await.text("access_token");
    assert_eq!(get_notes(&holder, &bound, &json!({})).await.status, 200);
    assert!(!is_good(&holder.testbed, &bound).await);
    let bearer = login(&holder.testbed, "notes:read").await.access;
    assert!(is_good(&holder.testbed, &bearer).await);
    let response = get_notes(&holder, &bearer, &json!({})).await;
    assert_eq!(response.status, 401);
    let lines = challenges(&response);
    assert!(!lines[0].contains("error="), "{}", lines[0]);
    assert!(lines[1].contains("error=\"invalid_token\""), "{}", lines[1]);
}

#[tokio::test]
async fn a_nonce_is_required_with_401() {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let holder = Holder::new(builder.dpop_nonces_at(Peer::Mcp)).await;
    let token = holder.tokens().await.text("access_token");
    let without = get_notes(&holder, &token, &json!({})).await;
    assert_eq!(without.status, 401);
    assert!(challenges(&without)[0].contains("error=\"use_dpop_nonce\""));
    let nonce = without.header("dpop-nonce").to_owned();
    let with = get_notes(&holder, &token, &json!({ "nonce": nonce })).await;
    assert_eq!(
        (with.status, with.header("dpop-nonce")),
        (200, nonce.as_str())
    );
    holder.testbed.renew_dpop_nonces();
    let late = get_notes(&holder, &token, &json!({ "nonce": nonce })).await;
    assert_eq!(late.status, 401);
}

#[tokio::test]
async fn insufficient_scope_is_reported_in_the_scheme_of_the_token() {
    let builder = Testbed::builder().dpop(DpopPolicy::Offered);
    let holder = Holder::new(builder).await;
    holder.testbed.require_scope("list_notes", "notes:list");
    let token = holder.tokens().await.text("access_token");
    let response = get_notes(&holder, &token, &json!({})).await;
    assert_eq!(response.status, 403);
    let lines = challenges(&response);
    assert!(
        lines[1].contains("error=\"insufficient_scope\""),
        "{}",
        lines[1]
    );
}
