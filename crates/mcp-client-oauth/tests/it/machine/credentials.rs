//! Client credentials by a secret (J1, J2).

use mcp_client_oauth::{RecordedGrant, error::AuthorizationError};
use mcp_oauth_testbed::Fault;

use super::*;

fn credentials() -> LoginOptions {
    options(Some(robot()), NonInteractiveGrant::ClientCredentials)
}

#[tokio::test]
async fn a_client_gets_tokens_in_its_own_name() {
    let fixture = fixture(robots()).await;
    let session = fixture.login_with(&credentials()).await.unwrap();
    assert_nobody_was_asked(&fixture);
    let issued = &fixture.testbed.issued_tokens()[0];
    assert_eq!(
        (issued.grant_type, issued.client_id.as_str()),
        ("client_credentials", "robot")
    );
    let token = session.token().await.unwrap();
    assert_eq!(token.expose(), &issued.access_token);
    let record = fixture.record().await.unwrap();
    assert_eq!(record.machine, Some(RecordedGrant::ClientCredentials));
    assert!(record.tokens.refresh_token.is_none() && record.is_refreshable());
}

#[tokio::test]
async fn the_secret_goes_where_the_server_wants_it_and_the_resource_is_named() {
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
        let machine = Machine::with_secret("robot", "s3cret of the robot").auth_method(method);
        let builder = Testbed::builder()
            .machine(machine)
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
    let fixture = fixture(robots()).await;
    let client = PreregisteredClient::new("robot", Some(secret("planted-secret")));
    let wrong = options(Some(client), NonInteractiveGrant::ClientCredentials);
    let error = fixture.login_with(&wrong).await.unwrap_err();
    assert_refused(&error, "invalid_client");
    assert!(!format!("{error} {error:?}").contains("planted"));
    // With `client_secret_basic`, and with `client_id` in the form beside it.
    assert_eq!(fixture.posts("/token"), 2);
    assert_nobody_was_asked(&fixture);
    fixture.assert_nothing_is_stored().await;
}

#[tokio::test]
async fn without_a_client_that_can_prove_itself_nothing_is_sent() {
    let fixture = fixture(robots()).await;
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
        Error::MachineGrant(NonInteractiveGrantError::PublicClient { .. })
    ));
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_client_of_another_issuer_is_shown_to_nobody() {
    let fixture = fixture(robots()).await;
    let mut client = robot();
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
async fn a_grant_of_another_name_is_not_taken_instead() {
    let fixture = fixture(robots().device_authorization(true)).await;
    for name in [
        "workload",
        "enterprise",
        "authorization_code",
        "device_code",
    ] {
        let mut other = credentials();
        other.grant = Some(name.to_owned());
        let error = fixture.login_with(&other).await.unwrap_err();
        let Error::Authorization(AuthorizationError::NoGrant { wanted, .. }) = error else {
            panic!("{error}");
        };
        assert_eq!(wanted.as_deref(), Some(name));
    }
    fixture.assert_nothing_was_sent();
    let mut named = credentials();
    named.grant = Some("client_credentials".to_owned());
    fixture.login_with(&named).await.unwrap();
}

#[tokio::test]
async fn a_scope_that_is_wanted_is_asked_for_and_what_is_missing_is_known() {
    let fixture = fixture(robots()).await;
    let mut wanted = credentials();
    wanted.scope = Some("notes:read notes:write".parse().unwrap());
    fixture
        .testbed
        .set_fault(Fault::TokenField("scope".to_owned(), "notes:read".into()));
    let session = fixture.login_with(&wanted).await.unwrap();
    let request = fixture.last("POST", "/token");
    assert_eq!(request.form("scope").unwrap(), "notes:read notes:write");
    assert_eq!(session.missing_scope().unwrap().to_string(), "notes:write");
}
