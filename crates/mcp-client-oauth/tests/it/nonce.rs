//! The `nonce` of a login that requests `openid`, and the ID token that repeats it (OpenID Connect
//! Core 1.0 §3.1.2.1, §3.1.3.7).

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_client_oauth::{
    Error, LoginOptions, Remedy,
    error::{AuthorizationError, TokenError},
    proto::authorize_parameters::AuthorizeParameterError,
};
use mcp_oauth_testbed::{
    Builder, Fault, Testbed,
    test_user::{Decision, Visit, decide},
};
use serde_json::{Value, json};
use url::Url;

use crate::support::{Fixture, Person, approve, browse, parameter, parameters, with_parameter};

fn openid() -> Builder {
    Testbed::builder().scopes_supported(Some(vec!["openid", "notes:read"]))
}

/// An ID token with these claims. Its signature is not checked: it comes from the token endpoint.
fn id_token(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.c2ln", part(&json!({"alg": "RS256"})), part(claims))
}

/// A scene with a server that returns what `member` makes of the nonce that it was sent as `id_token`.
async fn returning(member: impl Fn(&str) -> Value + Send + Sync + 'static) -> Fixture {
    let testbed = Arc::new(openid().start().await.unwrap());
    let (server, member) = (Arc::clone(&testbed), Arc::new(member));
    Fixture::of(testbed).for_person(Person::who(move |url| {
        let value = member(&parameter(&url, "nonce"));
        server.set_fault(Fault::TokenField("id_token".to_owned(), value));
        approve(url)
    }))
}

#[tokio::test]
async fn each_login_with_openid_has_a_fresh_nonce_and_no_other_has_one() {
    let fixture = Fixture::with(openid()).await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    let mut options = LoginOptions::default();
    options.scope = Some("notes:read".parse().unwrap());
    fixture.login_with(&options).await.unwrap();
    let [first, second, without] = &fixture.person.opened()[..] else {
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
    let fixture = returning(|nonce| id_token(&json!({"sub": "u", "nonce": nonce})).into()).await;
    fixture.login().await.unwrap();
    let record = serde_json::to_string(&fixture.record().await.unwrap()).unwrap();
    let nonce = parameter(&fixture.person.opened()[0], "nonce");
    assert!(!record.contains("id_token") && !record.contains(&nonce));
}

#[tokio::test]
async fn an_id_token_of_another_login_ends_the_login_and_keeps_no_tokens() {
    for claims in [json!({"nonce": "of-another-login"}), json!({"nonce": 7})] {
        let fixture = returning(move |_| id_token(&claims).into()).await;
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
        // Encrypted (RFC 7516 §3.1): it cannot be read without the key.
        "e30.key.iv.text.tag".into(),
        "no JWT".into(),
        json!({"not": "a text"}),
    ] {
        let fixture = returning(move |_| value.clone()).await;
        fixture.login().await.unwrap();
    }
}

#[tokio::test]
async fn a_nonce_is_no_parameter_that_can_be_remembered() {
    let mut options = LoginOptions::default();
    let more = &mut options.discovery.quirks.authorize;
    let refused = more.insert("nonce", "remembered");
    assert!(matches!(refused, Err(AuthorizeParameterError::Reserved(_))));
    let fixture = Fixture::with(openid()).await;
    let endpoint = format!("{}/authorize?nonce=of-the-server", fixture.testbed.issuer());
    let fault = Fault::MetadataField("authorization_endpoint".to_owned(), endpoint.into());
    fixture.testbed.set_fault(fault);
    fixture.login_with(&options).await.unwrap();
    assert_eq!(parameter(&fixture.person.opened()[0], "nonce").len(), 43);
}

/// The refusals that real servers send a request without a nonce, as they send them.
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

/// A user at a server that requires a nonce, and answers otherwise with this query.
fn requires_nonce(refusal: &'static str) -> Arc<Person> {
    Person::who(move |url: Url| async move {
        let nonces = parameters(&url, "nonce");
        if nonces.len() == 1 && !nonces[0].is_empty() {
            return approve(url).await;
        }
        refuse(&url, refusal).await
    })
}

async fn refuse(url: &Url, refusal: &str) -> Vec<Visit> {
    let mut callback = Url::parse(&parameter(url, "redirect_uri")).unwrap();
    let query = refusal.replace("STATE", &parameter(url, "state"));
    callback.set_query(Some(&query));
    browse(callback).await
}

#[tokio::test]
async fn servers_that_require_a_nonce_are_logged_in_to() {
    for (name, refusal) in REFUSALS {
        // These promise no `iss`, so that the refusal would be read.
        let without_iss = || openid().iss_parameter(false);
        let fixture = Fixture::with(without_iss()).await;
        let fixture = fixture.for_person(requires_nonce(refusal));
        fixture
            .login()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        // Without `openid` there is no nonce: the refusal is that of the server.
        let fixture = Fixture::with(without_iss().scopes_supported(Some(vec!["notes:read"]))).await;
        let fixture = fixture.for_person(requires_nonce(refusal));
        let error = fixture.login().await.unwrap_err();
        assert!(
            matches!(&error, Error::Authorization(AuthorizationError::Refused(said))
                if said.has_code("invalid_request") && said.to_string().contains("nonce")),
            "{name}: {error}"
        );
    }
}

/// The nonce travels in the URL alone, so another one in it is another login's.
#[tokio::test]
async fn a_nonce_that_was_changed_on_the_way_is_noticed() {
    let testbed = Arc::new(openid().start().await.unwrap());
    let server = Arc::clone(&testbed);
    let fixture = Fixture::of(testbed).for_person(Person::who(move |url| {
        let changed = with_parameter(&url, "nonce", Some("changed"));
        let token = id_token(&json!({ "nonce": parameter(&changed, "nonce") }));
        server.set_fault(Fault::TokenField("id_token".to_owned(), token.into()));
        async move { browse(decide(&changed, Decision::Approve).await.unwrap()).await }
    }));
    let error = fixture.login().await.unwrap_err();
    assert!(error.to_string().contains("another login"), "{error}");
    fixture.assert_nothing_is_stored().await;
}
