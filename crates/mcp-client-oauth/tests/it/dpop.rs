//! Tokens that are bound to a key (RFC 9449). The testbed verifies each proof with its own code: it
//! accepts a request only with a valid proof for that request, which was not used before.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{Method, header};
use mcp_client_oauth::{
    Error, Login, Remedy, Session,
    adapters::TokenSource as _,
    error::{AuthorizationError, TokenError},
    flow::AuthScheme,
    platform::{Clock as _, Response, SystemClock},
};
use mcp_oauth_testbed::{
    Builder, Corruption, DpopPolicy, DpopProof, Endpoint, Fault, Peer, RecordedRequest, Testbed,
};
use serde_json::json;
use url::Url;

use crate::support::{Fixture, bounded, parameters};

mod adapter;
mod keys;
mod nonces;

const NOTES: &str = "/mcp/notes";

/// Returns a fixture at the current time: servers accept only recent proofs.
async fn fixture(builder: Builder) -> Fixture {
    let fixture = Fixture::with(builder).await;
    fixture.clock.set(SystemClock::default().now());
    fixture
}

/// Returns a server that accepts these token types.
fn with_token_kinds(kinds: DpopPolicy) -> Builder {
    Testbed::builder().dpop(kinds)
}

async fn logged_in(builder: Builder) -> (Fixture, Session) {
    let fixture = fixture(builder).await;
    let session = fixture.login().await.unwrap();
    (fixture, session)
}

/// Returns the options of a login with bound tokens: always, never, or if the server requires them.
fn with_dpop(is_bound: Option<bool>) -> impl Fn(Login) -> Login {
    move |login| match is_bound {
        Some(is_bound) => login.dpop(is_bound),
        None => login,
    }
}

fn notes(fixture: &Fixture) -> Url {
    fixture.server.as_url().join(NOTES).unwrap()
}

async fn read(session: &Session) -> Result<Response, Error> {
    bounded(Box::pin(session.get("notes").send())).await
}

async fn request_status(session: &Session) -> u16 {
    read(session).await.unwrap().status.as_u16()
}

fn request_count(fixture: &Fixture) -> usize {
    fixture.testbed.count(Peer::Mcp, "GET", NOTES)
}

/// Returns the proofs in the requests to this path, in order.
fn proofs(fixture: &Fixture, path: &str) -> Vec<DpopProof> {
    let requests = fixture.testbed.requests().into_iter();
    let requests = requests.filter(|request| request.path == path);
    requests
        .filter_map(|request| request.dpop_proof())
        .collect()
}

fn all_proofs(fixture: &Fixture) -> Vec<DpopProof> {
    let requests = fixture.testbed.requests();
    requests
        .iter()
        .filter_map(RecordedRequest::dpop_proof)
        .collect()
}

/// Returns the thumbprint of the key that signed a proof.
fn thumbprint(proof: &DpopProof) -> String {
    proof.thumbprint.clone().unwrap()
}

#[tokio::test]
async fn a_server_that_requires_bound_tokens_gets_them() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let mut url = notes(&fixture);
    url.set_query(Some("secret=planted"));
    url.set_fragment(Some("planted"));
    for _ in 0..3 {
        let response = session.get(&url).send().await;
        assert_eq!(response.unwrap().status, 200);
    }
    let record = session.record().unwrap();
    let key = record.dpop.unwrap().thumbprint();
    assert_eq!(record.tokens.access_token.scheme(), AuthScheme::DPoP);
    assert_eq!(
        fixture.testbed.families()[0].dpop_thumbprint,
        Some(key.clone())
    );

    let (exchange, requests) = (proofs(&fixture, "/token"), proofs(&fixture, NOTES));
    assert_eq!((exchange.len(), requests.len()), (1, 3));
    assert!(exchange[0].ath.is_none() && requests.iter().all(|proof| proof.ath.is_some()));
    for proof in &requests {
        assert_eq!(proof.htm.as_deref(), Some("GET"));
        assert_eq!(proof.htu.as_deref(), Some(notes(&fixture).as_str()));
    }
    let all = all_proofs(&fixture);
    assert!(all.iter().all(|proof| thumbprint(proof) == key));
    let jtis: BTreeSet<_> = all.iter().map(|proof| proof.jti.clone()).collect();
    assert_eq!(jtis.len(), 4, "no proof was used twice");

    // RFC 9449 §10: the code is bound to the key too.
    assert_eq!(
        parameters(&fixture.user.opened_urls()[0], "dpop_jkt"),
        [key]
    );
    let registration = fixture.last("POST", "/register").json().unwrap();
    assert_eq!(registration.get("dpop_bound_access_tokens"), None);
}

#[tokio::test]
async fn a_server_that_accepts_both_token_types_gets_the_requested_one() {
    for (policy, bound) in [(None, false), (Some(false), false), (Some(true), true)] {
        let fixture = fixture(with_token_kinds(DpopPolicy::Offered)).await;
        let session = fixture.login_with(with_dpop(policy)).await.unwrap();
        assert_eq!(request_status(&session).await, 200);
        assert_eq!(
            session.record().unwrap().dpop.is_some(),
            bound,
            "{policy:?}"
        );
        assert_eq!(all_proofs(&fixture).len(), 2 * usize::from(bound));
        assert_eq!(session.proof_generator().is_some(), bound);
        let opened = &fixture.user.opened_urls()[0];
        assert_eq!(parameters(opened, "dpop_jkt").len(), usize::from(bound));
        let registration = fixture.last("POST", "/register").json().unwrap();
        let registered = registration.get("dpop_bound_access_tokens");
        assert_eq!(registered, bound.then_some(&json!(true)));
    }
}

#[tokio::test]
async fn a_dpop_challenge_requests_bound_tokens() {
    let fixture = fixture(with_token_kinds(DpopPolicy::Offered)).await;
    let line = "DPoP realm=\"notes\", algs=\"ES256\"".to_owned();
    fixture.testbed.set_fault(Fault::Challenge(vec![line]));
    let session = fixture.login().await.unwrap();
    assert!(session.record().unwrap().dpop.is_some());
    fixture.testbed.clear_faults();
    assert_eq!(request_status(&session).await, 200);
}

#[tokio::test]
async fn a_login_without_a_key_fails_at_a_server_that_requires_one() {
    let fixture = fixture(with_token_kinds(DpopPolicy::Required)).await;
    let refused = fixture.login_with(with_dpop(Some(false))).await;
    assert!(matches!(refused, Err(Error::TokenExchange { .. })));
    assert_eq!(all_proofs(&fixture), []);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn a_bearer_token_in_response_to_a_proof_is_rejected() {
    let named = Fault::TokenField("token_type".to_owned(), json!("bearer"));
    for builder in [
        with_token_kinds(DpopPolicy::Off),
        with_token_kinds(DpopPolicy::Offered).fault(named),
    ] {
        let fixture = fixture(builder).await;
        let login = fixture.login_with(with_dpop(Some(true)));
        let refused = login.await.unwrap_err();
        let downgraded = matches!(
            &refused,
            Error::TokenExchange {
                cause: TokenError::TokenTypeDowngrade,
                ..
            }
        );
        assert!(downgraded, "{refused}");
        assert_eq!(refused.remedy(), Remedy::ContactServerOperator);
        fixture.assert_nothing_is_stored().await;
    }
}

#[tokio::test]
async fn a_bound_token_in_response_to_a_request_without_a_proof_is_rejected() {
    let fixture = fixture(Testbed::builder()).await;
    let bound = Fault::TokenField("token_type".to_owned(), json!("DPoP"));
    fixture.testbed.set_fault(bound);
    let refused = fixture.login().await.unwrap_err();
    assert!(refused.to_string().contains("not Bearer"), "{refused}");
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn unsupported_signing_algorithms_fail_before_the_browser_opens() {
    let name = "dpop_signing_alg_values_supported".to_owned();
    for (kinds, policy) in [
        (DpopPolicy::Offered, Some(true)),
        (DpopPolicy::Required, None),
    ] {
        let fixture = fixture(with_token_kinds(kinds)).await;
        let listed = Fault::MetadataField(name.clone(), json!(["RS256", "EdDSA"]));
        fixture.testbed.set_fault(listed);
        let error = fixture.login_with(with_dpop(policy)).await.unwrap_err();
        let unsupported = matches!(
            error,
            Error::Authorization(AuthorizationError::DpopUnsupported(_))
        );
        assert!(unsupported, "{error}");
        assert_eq!(error.remedy(), Remedy::Reconfigure);
        fixture.assert_nothing_was_sent();
    }
}

#[tokio::test]
async fn a_proof_is_sent_only_to_the_server_of_its_token() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let canary = Testbed::start().await.unwrap();
    let seen = fixture.testbed.requests().len();
    for url in [
        canary.server_url(),
        fixture.server.as_url().join("/").unwrap(),
    ] {
        let error = session.get(&url).send().await;
        let outside = matches!(
            error,
            Err(Error::Authorization(
                AuthorizationError::OutsideResource { .. }
            ))
        );
        assert!(outside);
    }
    assert_eq!(fixture.testbed.requests().len(), seen);
    for endpoint in [Endpoint::Mcp, Endpoint::Token] {
        let elsewhere = Corruption::RedirectTo(canary.server_url().to_string());
        fixture
            .testbed
            .set_fault(Fault::Corrupt(endpoint, elsewhere));
    }
    assert_eq!(request_status(&session).await, 307);
    session.refresh().await.unwrap_err();
    assert!(canary.requests().is_empty());
}

#[tokio::test]
async fn any_http_client_can_send_a_bound_token() {
    let (fixture, session) = logged_in(with_token_kinds(DpopPolicy::Required)).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = notes(&fixture);
    let response = session
        .send(&Method::GET, &url, |credentials| {
            assert!(credentials.authorization.is_sensitive());
            let proof = credentials.proof.as_ref();
            assert!(proof.is_some_and(http::HeaderValue::is_sensitive));
            let mut headers = http::HeaderMap::new();
            headers.insert(header::AUTHORIZATION, "Basic planted".parse().unwrap());
            headers.insert("dpop", "planted".parse().unwrap());
            credentials.apply(&mut headers);
            client.get(url.clone()).headers(headers).send()
        })
        .await;
    assert_eq!(response.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn requesting_another_token_type_starts_a_new_login() {
    let fixture = fixture(with_token_kinds(DpopPolicy::Offered)).await;
    let client = fixture.client();
    for (policy, logins) in [
        (None, 1),
        (Some(true), 2),
        (None, 2),
        (Some(true), 2),
        (Some(false), 3),
    ] {
        let session = with_dpop(policy)(client.login(&fixture.server)).await;
        assert_eq!(request_status(&session.unwrap()).await, 200);
        assert_eq!(fixture.user.opened_urls().len(), logins, "{policy:?}");
    }
}

/// In an interactive session; a refresh would bring one more bearer token.
#[tokio::test]
async fn a_server_that_starts_to_require_bound_tokens_gets_them_by_a_new_login() {
    for (also_bearer, policy, logins, scheme) in [
        (false, None, 2, AuthScheme::DPoP),
        (true, None, 1, AuthScheme::Bearer),
        (false, Some(false), 1, AuthScheme::Bearer),
    ] {
        let (fixture, _) = logged_in(with_token_kinds(DpopPolicy::Offered)).await;
        let metadata = fixture.server.as_url().join(crate::support::PRM).unwrap();
        let named = format!("resource_metadata=\"{metadata}\"");
        let mut challenges = vec![format!("DPoP {named}, algs=\"ES256\"")];
        if also_bearer {
            challenges.push(format!("Bearer {named}"));
        }
        fixture.testbed.set_fault(Fault::Challenge(challenges));
        fixture.testbed.revoke_access_tokens();
        let login = with_dpop(policy)(fixture.client().login(&fixture.server));
        let session = login.on_demand().await.unwrap();
        assert_eq!(request_status(&session).await, 200);
        assert_eq!(fixture.user.opened_urls().len(), logins);
        assert_eq!(session.cached_token().unwrap().scheme(), scheme);
    }
}
