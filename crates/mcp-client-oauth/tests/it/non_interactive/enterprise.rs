//! Enterprise-managed authorization: an identity provider asserts who the user is (SEP-990; RFC 8693
//! §2.2.1, RFC 7523 §2.1).

use mcp_client_oauth::{AssertionSource, IdentityProvider, error::TokenExchangeError};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault};
use serde_json::{Value, json};

use super::*;

const EXCHANGE: &str = "/oauth2/token";

async fn enterprise() -> Fixture {
    let at_idp = ConfidentialClient::with_secret("app-at-idp", "s3cret at the idp");
    let builder = Testbed::builder().client("app", Some("s3cret of the app"));
    fixture(builder.enterprise(at_idp, "app")).await
}

/// Returns the identity provider, and an ID token with these claims.
fn idp(fixture: &Fixture, claims: &Value) -> IdentityProvider {
    let issuer = fixture.testbed.identity_provider().unwrap();
    let id_token = fixture.testbed.id_token(claims).unwrap();
    let at_idp = PreregisteredClient::new("app-at-idp", Some(secret("s3cret at the idp")));
    let endpoint = format!("{issuer}{EXCHANGE}");
    let source = AssertionSource::Provided(secret(&id_token));
    IdentityProvider::new(Issuer::from(issuer), &endpoint, &at_idp, source).unwrap()
}

/// Logs in the application by an assertion of `idp`.
async fn login(fixture: &Fixture, idp: &IdentityProvider) -> Result<Session, Error> {
    let idp = Box::new(idp.clone());
    let by_idp = |login: Login| {
        let app = login.client_id("app");
        let app = app.client_secret(secret("s3cret of the app"));
        app.grant(Grant::Enterprise { idp })
    };
    fixture.login_with(by_idp).await
}

async fn login_with_id_token(fixture: &Fixture, claims: &Value) -> Result<Session, Error> {
    login(fixture, &idp(fixture, claims)).await
}

fn exchanges(fixture: &Fixture) -> usize {
    fixture
        .testbed
        .count(Peer::IdentityProvider, "POST", EXCHANGE)
}

async fn exchange_error(fixture: &Fixture) -> (Error, TokenExchangeError) {
    let error = login_with_id_token(fixture, &json!({})).await.unwrap_err();
    let Error::NonInteractiveGrant(NonInteractiveGrantError::IdentityProvider { cause, .. }) =
        &error
    else {
        panic!("{error}");
    };
    let cause = cause.clone();
    // Nothing from the identity provider was sent to the authorization server.
    assert_eq!((exchanges(fixture), fixture.posts("/token")), (1, 0));
    assert_non_interactive(fixture);
    (error, cause)
}

#[tokio::test]
async fn an_identity_assertion_logs_the_user_in_without_a_browser() {
    let fixture = enterprise().await;
    login_with_id_token(&fixture, &json!({})).await.unwrap();
    assert_non_interactive(&fixture);
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (1, 1));
    let issued = &fixture.testbed.issued_tokens()[0];
    assert_eq!(issued.subject.as_deref(), Some("alice@example.com"));
    assert_eq!(issued.client_id, "app");
}

/// Like rmcp 3.11 (`EmaExchangeRequest::new`): RFC 8693 §3.
#[tokio::test]
async fn a_refresh_token_of_the_identity_provider_is_accepted_as_subject() {
    let fixture = enterprise().await;
    let refresh_token = fixture.testbed.idp_refresh_token();
    let given = AssertionSource::Provided(secret(&refresh_token));
    let idp = idp(&fixture, &json!({})).with_refresh_token(given);
    let session = login(&fixture, &idp).await.unwrap();
    let exchange = fixture.last("POST", EXCHANGE);
    let expected = "urn:ietf:params:oauth:token-type:refresh_token";
    assert_eq!(exchange.form("subject_token_type").unwrap(), expected);
    assert_eq!(exchange.form("subject_token").unwrap(), refresh_token);
    let issued = &fixture.testbed.issued_tokens()[0];
    assert_eq!(issued.subject.as_deref(), Some("alice@example.com"));
    // It was not sent to the authorization server, and is in no output.
    let grant = fixture.last("POST", "/token");
    assert!(grant.form("assertion").unwrap() != refresh_token);
    assert!(!format!("{:?}", session.record()).contains(&refresh_token[..20]));

    // The record has its token type, so that a session can repeat the exchange.
    fixture.advance(Duration::from_secs(3600));
    session.refresh().await.unwrap();
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (2, 2));
}

#[tokio::test]
async fn an_invalid_refresh_token_is_not_sent() {
    let fixture = enterprise().await;
    let given = AssertionSource::Provided(secret("\u{1}planted"));
    let idp = idp(&fixture, &json!({})).with_refresh_token(given);
    let error = login(&fixture, &idp).await.unwrap_err();
    assert!(error.to_string().contains("is not a token"), "{error}");
    assert!(!format!("{error} {error:?}").contains("planted"));
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (0, 0));
}

#[tokio::test]
async fn each_server_gets_only_its_own_parameters() {
    let fixture = enterprise().await;
    login_with_id_token(&fixture, &json!({})).await.unwrap();
    let exchange = fixture.last("POST", EXCHANGE);
    let expected = [
        "grant_type",
        "requested_token_type",
        "audience",
        "resource",
        "subject_token",
        "subject_token_type",
        "scope",
    ];
    assert_eq!(fields(&exchange), expected);
    assert_eq!(exchange.form("audience").unwrap(), fixture.testbed.issuer());
    assert_eq!(exchange.form("resource").unwrap(), fixture.server.as_str());
    let grant = fixture.last("POST", "/token");
    assert_eq!(
        fields(&grant),
        ["grant_type", "assertion", "resource", "scope"]
    );
    assert_eq!(grant.form("grant_type").unwrap(), JWT_BEARER);
    // Each server gets its own client credentials, and no URL has a token (RFC 6750 §2.3).
    let (one, other) = (
        exchange.header("authorization"),
        grant.header("authorization"),
    );
    assert!(one.is_some() && other.is_some() && one != other);
    assert_eq!((exchange.query, grant.query), (None, None));
}

#[tokio::test]
async fn a_token_of_another_type_is_not_passed_on() {
    let fixture = enterprise().await;
    let other = "urn:ietf:params:oauth:token-type:access_token";
    fixture
        .testbed
        .set_fault(Fault::IssuedTokenType(other.to_owned()));
    let (error, cause) = exchange_error(&fixture).await;
    assert!(matches!(cause, TokenExchangeError::OtherType(_)), "{cause}");
    assert_eq!(error.remedy(), Remedy::ContactServerOperator);
}

#[tokio::test]
async fn a_rejection_of_the_identity_provider_ends_the_login() {
    let fixture = enterprise().await;
    let refusal = Fault::IdJagRefused("access_denied".to_owned());
    fixture.testbed.set_fault(refusal);
    let (error, _) = exchange_error(&fixture).await;
    assert_refused(&error, "access_denied");
}

#[tokio::test]
async fn a_broken_identity_provider_is_distinguished_from_an_unreachable_one() {
    let fixture = enterprise().await;
    let broken = Fault::Corrupt(Endpoint::IdentityProvider, Corruption::Html);
    fixture.testbed.set_fault(broken);
    let (error, _) = exchange_error(&fixture).await;
    assert_eq!(error.remedy(), Remedy::ContactServerOperator, "{error}");
    fixture.testbed.clear_faults();
    let gone = Fault::Corrupt(Endpoint::IdentityProvider, Corruption::CutAfter(0));
    fixture.testbed.set_fault(gone);
    let error = login_with_id_token(&fixture, &json!({})).await.unwrap_err();
    assert!(matches!(
        error,
        Error::NonInteractiveGrant(NonInteractiveGrantError::Http(_))
    ));
    assert_eq!(error.remedy(), Remedy::Retry, "{error}");
    assert_eq!(fixture.posts("/token"), 0);
}

#[tokio::test]
async fn an_id_token_that_has_expired_is_sent_once_and_not_shown() {
    let fixture = enterprise().await;
    let expired = login_with_id_token(&fixture, &json!({"exp": 1})).await;
    let error = expired.unwrap_err();
    assert_refused(&error, "invalid_grant");
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (1, 0));
    let sent = fixture
        .last("POST", EXCHANGE)
        .form("subject_token")
        .unwrap();
    assert!(!format!("{error} {error:?}").contains(&sent[..20]));
}

/// A server without `authorization_grant_profiles_supported` is tried: the member is optional.
#[tokio::test]
async fn a_server_without_id_jag_support_gets_no_id_jag() {
    let member = "authorization_grant_profiles_supported".to_owned();
    let fixture = enterprise().await;
    let others = json!(["urn:example:another-profile"]);
    fixture
        .testbed
        .set_fault(Fault::MetadataField(member.clone(), others));
    let idp = idp(&fixture, &json!({}));
    let error = login(&fixture, &idp).await.unwrap_err();
    let refused = matches!(
        error,
        Error::NonInteractiveGrant(NonInteractiveGrantError::IdJagNotSupported(ref issuer))
            if issuer.as_str() == fixture.testbed.issuer()
    );
    assert!(refused, "{error}");
    assert_refused(&error, "id-jag");
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (0, 0));
    fixture.testbed.set_fault(Fault::MetadataWithout(member));
    login(&fixture, &idp).await.unwrap();
}

#[tokio::test]
async fn a_rejected_id_jag_is_sent_once() {
    let fixture = enterprise().await;
    let refusal = Fault::AssertionRefused("invalid_grant".to_owned());
    fixture.testbed.set_fault(refusal);
    let error = login_with_id_token(&fixture, &json!({})).await.unwrap_err();
    assert_refused(&error, "invalid_grant");
    assert_eq!((exchanges(&fixture), fixture.posts("/token")), (1, 1));
}

#[test]
fn an_identity_provider_is_https_or_on_loopback() {
    let at_idp = PreregisteredClient::new("app-at-idp", None);
    for (url, good) in [
        ("https://idp.example/token", true),
        ("https://10.0.0.1/token", true),
        ("http://127.0.0.1:8080/token", true),
        ("http://idp.example/token", false),
        ("http://10.0.0.1/token", false),
        ("https://a@idp.example/token", false),
        ("file:///etc/passwd", false),
    ] {
        let source = AssertionSource::Provided(secret("a.b.c"));
        let idp = IdentityProvider::new(Issuer::from("https://idp.example"), url, &at_idp, source);
        assert_eq!(idp.is_ok(), good, "{url}");
    }
}
