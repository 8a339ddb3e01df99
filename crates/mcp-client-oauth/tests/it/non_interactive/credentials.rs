//! Client credentials with a secret (RFC 6749 §4.4; MCP OAuth Client Credentials extension).

use mcp_client_oauth::{RecordedGrant, error::AuthorizationError};
use mcp_oauth_testbed::Fault;

use super::*;

fn credentials() -> LoginOptions {
    options(Some(client()), NonInteractiveGrant::ClientCredentials)
}

#[tokio::test]
async fn client_credentials_get_tokens() {
    let fixture = fixture(with_client()).await;
    let session = fixture.login_with(&credentials()).await.unwrap();
    assert_non_interactive(&fixture);
    let issued = &fixture.testbed.issued_tokens()[0];
    assert_eq!(
        (issued.grant_type, issued.client_id.as_str()),
        ("client_credentials", "robot")
    );
    let token = session.token().await.unwrap();
    assert_eq!(token.expose(), &issued.access_token);
    let record = fixture.record().await.unwrap();
    assert_eq!(
        record.non_interactive,
        Some(RecordedGrant::ClientCredentials)
    );
    assert!(record.tokens.refresh_token.is_none() && record.is_refreshable());
}

#[tokio::test]
async fn the_secret_is_sent_by_the_supported_method_with_the_resource() {
    for (method, expected) in [
        (
            "client_secret_basic",
            &["grant_type", "resource", "scope"][..],
        ),
        (
            "client_secret_post",
            &[
                "grant_type",
                "resource",
                "scope",
                "client_id",
                "client_secret",
            ],
        ),
    ] {
        let client =
            ConfidentialClient::with_secret("robot", "s3cret of the robot").auth_method(method);
        let builder = Testbed::builder()
            .confidential_client(client)
            .client_auth_methods(&[method]);
        let fixture = fixture(builder).await;
        fixture.login_with(&credentials()).await.unwrap();
        let request = fixture.last("POST", "/token");
        assert_eq!(fields(&request), expected, "{method}");
        assert_eq!(request.form("resource").unwrap(), fixture.server.as_str());
        assert_eq!(request.form("scope").unwrap(), "notes:read");
        let is_basic = method == "client_secret_basic";
        assert_eq!(request.header("authorization").is_some(), is_basic);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_sent_twice_at_most_and_not_shown() {
    let fixture = fixture(with_client()).await;
    let client = PreregisteredClient::new("robot", Some(secret("planted-secret")));
    let wrong = options(Some(client), NonInteractiveGrant::ClientCredentials);
    let error = fixture.login_with(&wrong).await.unwrap_err();
    assert_refused(&error, "invalid_client");
    assert!(!format!("{error} {error:?}").contains("planted"));
    // With `client_secret_basic`, and then with `client_id` in the body too.
    assert_eq!(fixture.posts("/token"), 2);
    assert_non_interactive(&fixture);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn without_a_client_secret_or_key_nothing_is_sent() {
    let fixture = fixture(with_client()).await;
    let error = fixture
        .login_with(&options(None, NonInteractiveGrant::ClientCredentials))
        .await;
    assert!(matches!(
        error,
        Err(Error::Registration(RegistrationError::NoClient(_)))
    ));
    let public = PreregisteredClient::new("robot", None);
    let public = options(Some(public), NonInteractiveGrant::ClientCredentials);
    let error = fixture.login_with(&public).await.unwrap_err();
    assert!(matches!(
        error,
        Error::NonInteractiveGrant(NonInteractiveGrantError::PublicClient { .. })
    ));
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_client_of_another_issuer_is_not_sent() {
    let fixture = fixture(with_client()).await;
    let mut client = client();
    client.issuer = Some(Issuer::new("https://other.example"));
    let other = options(Some(client), NonInteractiveGrant::ClientCredentials);
    let error = fixture.login_with(&other).await.unwrap_err();
    assert!(matches!(
        error,
        Error::Registration(RegistrationError::IssuerMismatch { .. })
    ));
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn an_unsupported_grant_is_not_replaced_by_another() {
    let fixture = fixture(with_client().device_authorization(true)).await;
    for name in [
        "workload",
        "enterprise",
        "authorization_code",
        "device_code",
    ] {
        let mut other = credentials();
        other.grant = Some(name.to_owned());
        let error = fixture.login_with(&other).await.unwrap_err();
        let Error::Authorization(AuthorizationError::NoGrant {
            requested: grant, ..
        }) = error
        else {
            panic!("{error}");
        };
        assert_eq!(grant.as_deref(), Some(name));
    }
    fixture.assert_nothing_was_sent();
    let mut named = credentials();
    named.grant = Some("client_credentials".to_owned());
    fixture.login_with(&named).await.unwrap();
}

#[tokio::test]
async fn the_scope_is_requested_and_a_missing_scope_is_reported() {
    let fixture = fixture(with_client()).await;
    let mut options = credentials();
    options.scope = Some("notes:read notes:write".parse().unwrap());
    fixture
        .testbed
        .set_fault(Fault::TokenField("scope".to_owned(), "notes:read".into()));
    let session = fixture.login_with(&options).await.unwrap();
    let request = fixture.last("POST", "/token");
    assert_eq!(request.form("scope").unwrap(), "notes:read notes:write");
    assert_eq!(session.missing_scope().unwrap().to_string(), "notes:write");
}
