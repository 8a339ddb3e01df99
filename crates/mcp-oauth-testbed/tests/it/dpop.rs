//! DPoP proofs at the token endpoint.

use std::time::Duration;

use mcp_oauth_testbed::{
    Algorithm, Builder, ConfidentialClient, DpopPolicy, Fault, KeyPair, Peer, RecordedRequest,
    Testbed,
};
use serde_json::{Map, Value, json};

use crate::browser::*;
use crate::signing::*;

/// A key, and a client that proves it.
pub(crate) struct Holder {
    pub(crate) testbed: Testbed,
    pub(crate) client: String,
    pub(crate) pair: KeyPair,
}

impl Holder {
    pub(crate) async fn new(builder: Builder) -> Self {
        let testbed = builder.start().await.unwrap();
        let client = register(&testbed).await;
        let pair = KeyPair::generate(Algorithm::Es256).unwrap();
        Self {
            testbed,
            client,
            pair,
        }
    }

    pub(crate) async fn required() -> Self {
        Self::new(Testbed::builder().dpop(DpopPolicy::Required)).await
    }

    pub(crate) fn token_endpoint(&self) -> String {
        endpoint(&self.testbed, "/token")
    }

    /// Returns a valid proof for the token endpoint, with some claims replaced; `null` leaves one out.
    pub(crate) fn proof(&self, other: &Value) -> String {
        proof(&self.pair, "POST", &self.token_endpoint(), other)
    }

    async fn exchange(&self, proof: &str) -> Response {
        let code = code(&self.testbed, &self.client, "notes:read").await;
        self.exchange_code(&code, proof).await
    }

    async fn exchange_code(&self, code: &str, proof: &str) -> Response {
        let server = self.testbed.server_url();
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client.as_str()),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
            ("resource", server.as_str()),
        ];
        post_proven(&self.token_endpoint(), proof, &pairs).await
    }

    pub(crate) async fn tokens(&self) -> Response {
        let response = self.exchange(&self.proof(&json!({}))).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response
    }

    async fn refresh(&self, refresh_token: &str, proof: &str) -> Response {
        let server = self.testbed.server_url();
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", self.client.as_str()),
            ("refresh_token", refresh_token),
            ("resource", server.as_str()),
        ];
        post_proven(&self.token_endpoint(), proof, &pairs).await
    }
}

/// Returns a valid proof, with some claims replaced; `null` leaves one out.
pub(crate) fn proof(pair: &KeyPair, method: &str, url: &str, other: &Value) -> String {
    let header = json!({ "typ": "dpop+jwt", "jwk": pair.public_jwk() });
    proof_with(pair, &header, method, url, other)
}

fn proof_with(pair: &KeyPair, header: &Value, method: &str, url: &str, other: &Value) -> String {
    let claims = json!({ "jti": unique(), "htm": method, "htu": url, "iat": now() });
    let header: Map<String, Value> = header.as_object().unwrap().clone();
    pair.jwt(header, &merged(claims, other)).unwrap()
}

#[tokio::test]
async fn a_proof_binds_the_access_token_to_its_key() {
    let holder = Holder::required().await;
    let tokens = holder.tokens().await;
    assert_eq!(tokens.text("token_type"), "DPoP");
    assert!(!is_good(&holder.testbed, &tokens.text("access_token")).await);
    let requests = holder.testbed.requests();
    let seen = requests
        .iter()
        .find_map(RecordedRequest::dpop_proof)
        .unwrap();
    assert_eq!(seen.htm.as_deref(), Some("POST"));
    assert_eq!(seen.htu, Some(holder.token_endpoint()));
    assert!(seen.jti.is_some() && seen.thumbprint.is_some());
    let issued = &holder.testbed.issued_tokens()[0];
    assert_eq!(issued.dpop_thumbprint, seen.thumbprint);
    assert_eq!(
        holder.testbed.families()[0].dpop_thumbprint,
        seen.thumbprint
    );
}

#[tokio::test]
async fn a_proof_of_every_listed_algorithm_is_accepted() {
    let mut holder = Holder::required().await;
    let metadata = server_metadata(&holder.testbed).await;
    let listed = &metadata["dpop_signing_alg_values_supported"];
    assert_eq!(listed, &json!(["ES256", "RS256", "EdDSA"]));
    for algorithm in [Algorithm::Rs256, Algorithm::EdDsa] {
        holder.pair = KeyPair::generate(algorithm).unwrap();
        assert_eq!(holder.tokens().await.text("token_type"), "DPoP");
    }
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_does_not_use_up_the_code() {
    let holder = Holder::required().await;
    let url = holder.token_endpoint();
    let with_query = format!("{url}?a=b");
    let authorize = endpoint(&holder.testbed, "/authorize");
    let mut wrong: Vec<String> = [
        json!({ "htm": "GET" }),
        json!({ "htm": null }),
        json!({ "htu": authorize }),
        json!({ "htu": with_query }),
        json!({ "htu": null }),
        json!({ "iat": now() - 400 }),
        json!({ "iat": now() + 400 }),
        json!({ "iat": null }),
        json!({ "jti": null }),
    ]
    .iter()
    .map(|other| holder.proof(other))
    .collect();
    let other = KeyPair::generate(Algorithm::Es256).unwrap();
    let jwk = holder.pair.public_jwk();
    let private = merged(jwk.clone(), &json!({ "d": "AAAA" }));
    for header in [
        json!({ "typ": "JWT", "jwk": jwk }),
        json!({ "typ": "dpop+jwt", "jwk": other.public_jwk() }),
        json!({ "typ": "dpop+jwt", "jwk": private }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "dpop+jwt", "jwk": jwk, "alg": "none" }),
        json!({ "typ": "dpop+jwt", "jwk": { "kty": "oct", "k": "AAAA" }, "alg": "HS256" }),
    ] {
        wrong.push(proof_with(&holder.pair, &header, "POST", &url, &json!({})));
    }
    wrong.push("nonsense".to_owned());
    let code = code(&holder.testbed, &holder.client, "notes:read").await;
    for proof in wrong {
        let response = holder.exchange_code(&code, &proof).await;
        let refused = (response.status, response.text("error"));
        assert_eq!(refused, (400, "invalid_dpop_proof".to_owned()), "{proof}");
    }
    let good = holder.proof(&json!({}));
    assert_eq!(holder.exchange_code(&code, &good).await.status, 200);
}

#[tokio::test]
async fn a_proof_is_accepted_once_and_within_five_minutes() {
    let holder = Holder::required().await;
    let proof = holder.proof(&json!({}));
    assert_eq!(holder.exchange(&proof).await.status, 200);
    let again = holder.exchange(&proof).await;
    assert_eq!(again.text("error"), "invalid_dpop_proof");
    let late = holder.proof(&json!({}));
    holder.testbed.advance(Duration::from_secs(310));
    let late = holder.exchange(&late).await;
    assert_eq!(late.text("error"), "invalid_dpop_proof");
}

#[tokio::test]
async fn the_policy_decides_whether_a_proof_is_required() {
    let none = Holder::new(Testbed::builder()).await;
    assert_eq!(none.tokens().await.text("token_type"), "Bearer");
    let offered = Holder::new(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    assert_eq!(offered.tokens().await.text("token_type"), "DPoP");
    let bearer = login(&offered.testbed, "notes:read").await;
    assert!(is_good(&offered.testbed, &bearer.access).await);
    let required = Holder::required().await;
    let code = code(&required.testbed, &required.client, "notes:read").await;
    let response = exchange(&required.testbed, &required.client, &code).await;
    assert_eq!(response.text("error"), "invalid_dpop_proof");
}

#[tokio::test]
async fn the_refresh_token_of_a_public_client_is_bound_to_its_key() {
    let mut holder = Holder::new(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    let refresh_token = holder.tokens().await.text("refresh_token");
    let unproven = refresh(&holder.testbed, &holder.client, &refresh_token).await;
    assert_eq!(unproven.text("error"), "invalid_grant");
    let key = std::mem::replace(
        &mut holder.pair,
        KeyPair::generate(Algorithm::Es256).unwrap(),
    );
    let stolen = holder
        .refresh(&refresh_token, &holder.proof(&json!({})))
        .await;
    assert_eq!(stolen.text("error"), "invalid_grant");
    holder.pair = key;
    let renewed = holder
        .refresh(&refresh_token, &holder.proof(&json!({})))
        .await;
    assert_eq!(renewed.text("token_type"), "DPoP");
}

#[tokio::test]
async fn a_confidential_client_may_use_another_key_each_time() {
    let client = ConfidentialClient::with_secret("robot", "s3cret");
    let builder = Testbed::builder()
        .dpop(DpopPolicy::Required)
        .confidential_client(client);
    let mut holder = Holder::new(builder).await;
    for _ in 0..2 {
        holder.pair = KeyPair::generate(Algorithm::Es256).unwrap();
        let server = holder.testbed.server_url();
        let pairs = [
            ("grant_type", "client_credentials"),
            ("client_id", "robot"),
            ("client_secret", "s3cret"),
            ("resource", server.as_str()),
        ];
        let proof = holder.proof(&json!({}));
        let response = post_proven(&holder.token_endpoint(), &proof, &pairs).await;
        assert_eq!(response.text("token_type"), "DPoP");
    }
    let issued = holder.testbed.issued_tokens();
    assert_ne!(issued[0].dpop_thumbprint, issued[1].dpop_thumbprint);
}

#[tokio::test]
async fn dpop_jkt_binds_a_code_to_a_key() {
    let holder = Holder::required().await;
    holder.tokens().await;
    let thumbprint = holder.testbed.issued_tokens()[0].dpop_thumbprint.clone();
    for (jkt, status) in [(thumbprint.as_deref(), 200), (Some("another"), 400)] {
        let url = request_with(&holder.testbed, &holder.client, "dpop_jkt", jkt);
        let approve = mcp_oauth_testbed::test_user::Decision::Approve;
        let callback = mcp_oauth_testbed::test_user::decide(&url, approve)
            .await
            .unwrap();
        let code = parameter(&callback, "code").unwrap();
        let response = holder.exchange_code(&code, &holder.proof(&json!({}))).await;
        assert_eq!(response.status, status, "{}", response.body);
    }
}

#[tokio::test]
async fn a_nonce_is_required_with_400_and_valid_until_it_is_renewed() {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let holder = Holder::new(builder.dpop_nonces_at(Peer::AuthorizationServer)).await;
    let code = code(&holder.testbed, &holder.client, "notes:read").await;
    let without = holder.exchange_code(&code, &holder.proof(&json!({}))).await;
    without.assert_refused(400, "use_dpop_nonce");
    let nonce = without.header("dpop-nonce").to_owned();
    let proof = holder.proof(&json!({ "nonce": nonce }));
    let tokens = holder.exchange_code(&code, &proof).await;
    assert_eq!(
        (tokens.status, tokens.header("dpop-nonce")),
        (200, nonce.as_str())
    );

    holder.testbed.renew_dpop_nonces();
    let refresh_token = tokens.text("refresh_token");
    let proof = holder.proof(&json!({ "nonce": nonce }));
    let late = holder.refresh(&refresh_token, &proof).await;
    assert_eq!(late.text("error"), "use_dpop_nonce");
    let proof = holder.proof(&json!({ "nonce": late.header("dpop-nonce") }));
    assert_eq!(holder.refresh(&refresh_token, &proof).await.status, 200);
}

#[tokio::test]
async fn a_retry_with_a_nonce_needs_a_new_proof() {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let holder = Holder::new(builder.dpop_nonces_at(Peer::AuthorizationServer)).await;
    let without = holder
        .exchange(&holder.proof(&json!({ "jti": "one" })))
        .await;
    let nonce = without.header("dpop-nonce");
    let same = holder.proof(&json!({ "jti": "one", "nonce": nonce }));
    let again = holder.exchange(&same).await;
    assert_eq!(again.text("error"), "invalid_dpop_proof");
}

#[tokio::test]
async fn nonces_can_be_renewed_without_end_or_be_malformed() {
    let builder = Testbed::builder().dpop(DpopPolicy::Required);
    let holder = Holder::new(builder.dpop_nonces_at(Peer::AuthorizationServer)).await;
    holder.testbed.set_fault(Fault::AlwaysNewDpopNonce);
    let mut nonce = "first".to_owned();
    for _ in 0..3 {
        let response = holder
            .exchange(&holder.proof(&json!({ "nonce": nonce })))
            .await;
        assert_eq!(response.text("error"), "use_dpop_nonce");
        assert_ne!(response.header("dpop-nonce"), nonce);
        nonce = response.header("dpop-nonce").to_owned();
    }
    holder.testbed.clear_faults();
    let odd = "a\t\u{85}\u{202e}b";
    holder.testbed.set_fault(Fault::DpopNonce(odd.to_owned()));
    let response = holder.exchange(&holder.proof(&json!({}))).await;
    assert_eq!(response.headers["dpop-nonce"].as_bytes(), odd.as_bytes());
}

#[tokio::test]
async fn a_proof_can_be_ignored() {
    let holder = Holder::new(Testbed::builder().dpop(DpopPolicy::Offered)).await;
    holder.testbed.set_fault(Fault::DpopIgnored);
    let tokens = holder.tokens().await;
    assert_eq!(tokens.text("token_type"), "Bearer");
    assert!(is_good(&holder.testbed, &tokens.text("access_token")).await);
}
