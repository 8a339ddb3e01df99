//! The `nonce` of a login that requests `openid`, and the ID token that repeats it (OpenID Connect
//! Core 1.0 §3.1.2.1, §3.1.3.7).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_client_oauth::{
    Error, Login, Remedy,
    error::{AuthorizationError, TokenError},
    flow::Quirks,
};
use mcp_oauth_testbed::{
    Builder, Fault, Testbed,
    test_user::{Decision, Page, decide},
};
use serde_json::{Value, json};
use url::Url;

use crate::support::{Fixture, TestUser, approve, browse, parameter, parameters, with_parameter};

fn openid() -> Builder {
    Testbed::builder().scopes_supported(Some(vec!["openid", "notes:read"]))
}

/// Returns an ID token with these claims. Its signature is not checked: it comes from the token
/// endpoint (OpenID Connect Core 1.0 §3.1.3.7).
fn id_token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

/// Returns a fixture with a server that returns `member(nonce)` as `id_token`.
async fn returning_claim(member: impl Fn(&str) -> Value + Send + Sync + 'static) -> Fixture {
    let testbed = Arc::new(openid().start().await.unwrap());
    let (server, member) = (Arc::clone(&testbed), Arc::new(member));
    Fixture::from_testbed(testbed).with_user(TestUser::with_action(move |url| {
        let value = member(&parameter(&url, "nonce"));
        server.set_fault(Fault::TokenField("id_token".to_owned(), value));
        approve(url)
    }))
}

#[tokio::test]
async fn only_logins_with_openid_send_a_nonce_and_it_is_new_each_time() {
    let fixture = Fixture::with(openid()).await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    let without_openid = |login: Login| login.scope("notes:read");
    fixture.login_with(without_openid).await.unwrap();
    let [first, second, without] = &fixture.user.opened_urls()[..] else {
        panic!()
    };
    assert_eq!(parameter(first, "scope"), "openid notes:read");
    // 256 bits as base64url.
    assert_eq!(parameter(first, "nonce").len(), 43);
    assert_ne!(parameter(first, "nonce"), parameter(second, "nonce"));
    assert_ne!(parameter(first, "nonce"), parameter(first, "state"));
    assert_eq!(parameters(without, "nonce"), [""; 0]);
}

#[tokio::test]
async fn an_id_token_that_repeats_the_nonce_is_accepted_and_not_stored() {
    let fixture =
        returning_claim(|nonce| id_token(&json!({"sub": "u", "nonce": nonce})).into()).await;
    fixture.login().await.unwrap();
    let record = serde_json::to_string(&fixture.record().await.unwrap()).unwrap();
    let nonce = parameter(&fixture.user.opened_urls()[0], "nonce");
    assert!(!record.contains("id_token") && !record.contains(&nonce));
}

#[tokio::test]
async fn an_id_token_of_another_login_ends_the_login_and_stores_no_tokens() {
    for claims in [json!({"nonce": "of-another-login"}), json!({"nonce": 7})] {
        let fixture = returning_claim(move |_| id_token(&claims).into()).await;
        let error = fixture.login().await.unwrap_err();
        let is_typed = matches!(
            error,
            Error::TokenExchange {
                cause: TokenError::NonceMismatch,
                ..
            }
        );
        assert!(is_typed, "{error}");
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        assert!(!error.to_string().contains("of-another-login"), "{error}");
        fixture.assert_nothing_is_stored().await;
    }
}

/// In the code flow the nonce is optional; PKCE binds the code to the login (RFC 9700 §2.1.1).
#[tokio::test]
async fn an_id_token_without_a_nonce_or_none_at_all_is_accepted() {
    for value in [
        Value::Null,
        id_token(&json!({"sub": "u"})).into(),
        id_token(&json!({"nonce": null})).into(),
        // An encrypted ID token (RFC 7516 §3.1) cannot be read without the key.
        "e30.key.iv.text.tag".into(),
        "no JWT".into(),
        json!({"not": "a text"}),
    ] {
        let fixture = returning_claim(move |_| value.clone()).await;
        fixture.login().await.unwrap();
    }
}

#[tokio::test]
async fn a_nonce_cannot_be_set_as_a_stored_parameter() {
    let mut quirks = Quirks::default();
    let refused = quirks.authorization_params.insert("nonce", "remembered");
    let refused = refused.unwrap_err().to_string();
    assert_eq!(refused, "the parameter `nonce` is reserved");
    let fixture = Fixture::with(openid()).await;
    let endpoint = format!("{}/authorize?nonce=of-the-server", fixture.testbed.issuer());
    let fault = Fault::MetadataField("authorization_endpoint".to_owned(), endpoint.into());
    fixture.testbed.set_fault(fault);
    let login = fixture.login_with(|login| login.quirks(quirks));
    login.await.unwrap();
    assert_eq!(parameter(&fixture.user.opened_urls()[0], "nonce").len(), 43);
}

/// The error responses of real servers to a request without a nonce.
const REFUSALS: &[(&str, &str)] = &[
    // glewlwyd 2.7.6, `src/plugin/protocol_oidc.c`, for each request with the scope `openid`.
    (
        "glewlwyd",
        "error=invalid_request&error_description=nonce+required&state=STATE",
    ),
    // Canaille 0.3.6 with its default REQUIRE_NONCE.
    (
        "Canaille",
        "error=invalid_request&error_description=Missing+%27nonce%27+in+request.&state=STATE",
    ),
];

/// Returns a user at a server that requires a nonce, and otherwise responds with this query.
fn requires_nonce(refusal: &'static str) -> Arc<TestUser> {
    TestUser::with_action(move |url: Url| async move {
        let nonces = parameters(&url, "nonce");
        if nonces.len() == 1 && !nonces[0].is_empty() {
            return approve(url).await;
        }
        reject(&url, refusal).await
    })
}

async fn reject(url: &Url, refusal: &str) -> Vec<Page> {
    let mut callback = Url::parse(&parameter(url, "redirect_uri")).unwrap();
    let query = refusal.replace("STATE", &parameter(url, "state"));
    callback.set_query(Some(&query));
    browse(callback).await
}

#[tokio::test]
async fn a_login_works_at_servers_that_require_a_nonce() {
    for (name, refusal) in REFUSALS {
        // These servers do not announce `iss`, so the error is read.
        let without_iss = || openid().iss_parameter(false);
        let fixture = Fixture::with(without_iss()).await;
        let fixture = fixture.with_user(requires_nonce(refusal));
        fixture
            .login()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Without `openid` there is no nonce, and the server rejects the request.
        let fixture = Fixture::with(without_iss().scopes_supported(Some(vec!["notes:read"]))).await;
        let fixture = fixture.with_user(requires_nonce(refusal));
        let error = fixture.login().await.unwrap_err();
        assert!(
            matches!(&error, Error::Authorization(AuthorizationError::Refused(said))
                if said.has_code("invalid_request") && said.to_string().contains("nonce")),
            "{name}: {error}"
        );
    }
}

/// The nonce is only in the URL, so an ID token with another nonce belongs to another login.
#[tokio::test]
async fn a_changed_nonce_is_rejected() {
    let testbed = Arc::new(openid().start().await.unwrap());
    let server = Arc::clone(&testbed);
    let fixture = Fixture::from_testbed(testbed).with_user(TestUser::with_action(move |url| {
        let changed = with_parameter(&url, "nonce", Some("changed"));
        let token = id_token(&json!({ "nonce": parameter(&changed, "nonce") }));
        server.set_fault(Fault::TokenField("id_token".to_owned(), token.into()));
        async move { browse(decide(&changed, Decision::Approve).await.unwrap()).await }
    }));
    let error = fixture.login().await.unwrap_err();
    assert!(error.to_string().contains("another login"), "{error}");
    fixture.assert_nothing_is_stored().await;
}
