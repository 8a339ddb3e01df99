//! Client credentials with a secret (RFC 6749 §4.4; MCP OAuth Client Credentials extension).

use mcp_client_oauth::{error::AuthorizationError, flow::RecordedGrant};
use mcp_oauth_testbed::Fault;

use super::*;

#[tokio::test]
async fn client_credentials_get_tokens() {
    let fixture = fixture(with_client()).await;
    let session = fixture.login_with(credentials).await.unwrap();
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
        fixture.login_with(credentials).await.unwrap();
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
    let wrong = |login| credentials(login).client_secret(secret("planted-secret"));
    let error = fixture.login_with(wrong).await.unwrap_err();
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
    let without_client = |login: Login| login.grant(Grant::ClientCredentials);
    let error = fixture.login_with(without_client).await;
    assert!(matches!(
        error,
        Err(Error::Registration(RegistrationError::NoClient(_)))
    ));
    let public = |login| without_client(login).client_id("robot");
    let error = fixture.login_with(public).await.unwrap_err();
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
    fixture.login_with(credentials).await.unwrap();
    let other = Testbed::start().await.unwrap();
    let issuers = serde_json::json!([other.issuer()]);
    let moved = Fault::PrmField("authorization_servers".to_owned(), issuers);
    fixture.testbed.set_fault(moved);
    let forced = |login| credentials(login).force();
    let error = fixture.login_with(forced).await.unwrap_err();
    assert!(matches!(
        error,
        Error::Registration(RegistrationError::IssuerMismatch { .. })
    ));
    assert_eq!(other.count(Peer::AuthorizationServer, "POST", "/token"), 0);
}

#[tokio::test]
async fn an_unsupported_grant_is_not_replaced_by_another() {
    let fixture = fixture(with_client()).await;
    let missing = Fault::MetadataWithout("authorization_endpoint".to_owned());
    fixture.testbed.set_fault(missing);
    for (grant, name) in [
        (Grant::Browser, "authorization_code"),
        (Grant::DeviceCode, "device_code"),
    ] {
        let other = |login| as_client(login).grant(grant);
        let error = fixture.login_with(other).await.unwrap_err();
        let Error::Authorization(AuthorizationError::NoGrant { requested, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(requested.as_deref(), Some(name));
    }
    fixture.assert_nothing_was_sent();
    fixture.login_with(credentials).await.unwrap();
}

#[tokio::test]
async fn the_scope_is_requested_and_a_missing_scope_is_reported() {
    let fixture = fixture(with_client()).await;
    fixture
        .testbed
        .set_fault(Fault::TokenField("scope".to_owned(), "notes:read".into()));
    let wider = |login| credentials(login).scope("notes:read notes:write");
    let session = fixture.login_with(wider).await.unwrap();
    let request = fixture.last("POST", "/token");
    assert_eq!(request.form("scope").unwrap(), "notes:read notes:write");
    assert_eq!(
        session
            .record()
            .unwrap()
            .missing_scope()
            .unwrap()
            .to_string(),
        "notes:write"
    );
}
