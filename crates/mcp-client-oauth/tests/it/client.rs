//! `Client`: several servers over one store, and a login only when one is needed.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use mcp_client_oauth::{
    Client, Ensured, Error, LoginOptions, RevocationOutcome, error::AuthorizationError,
};
use mcp_oauth_testbed::Testbed;

use crate::support::{Fixture, bounded, parameter, server_url};

const LIFE: Duration = Duration::from_secs(300);

async fn fixture_and_client() -> (Fixture, Client) {
    let fixture = Fixture::start().await;
    let client = Client::new(fixture.platform.clone(), fixture.store.clone());
    (fixture, client)
}

async fn login(fixture: &Fixture, client: &Client, scope: Option<&str>) {
    let mut options = LoginOptions::default();
    options.scope = scope.map(|scope| scope.parse().unwrap());
    bounded(Box::pin(client.ensure(&fixture.server, &options)))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_valid_session_causes_no_request() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    let requests = fixture.testbed.requests().len();
    for _ in 0..3 {
        login(&fixture, &client, None).await;
        login(&fixture, &client, Some("notes:read")).await;
    }
    assert_eq!(fixture.testbed.requests().len(), requests);
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn a_reused_login_is_distinguished_from_a_new_one() {
    let (fixture, client) = fixture_and_client().await;
    let reused = async |options: LoginOptions| {
        let ensured = Box::pin(client.ensure_or_reuse(&fixture.server, &options));
        matches!(bounded(ensured).await.unwrap(), Ensured::Reused(_))
    };
    assert!(!reused(LoginOptions::default()).await);
    assert!(reused(LoginOptions::default()).await);
    // A refresh opens no browser: it is the same login.
    fixture.advance(LIFE);
    assert!(reused(LoginOptions::default()).await);
    let mut other = LoginOptions::default();
    other.account = Some("other".to_owned());
    assert!(!reused(other).await);
    let mut forced = LoginOptions::default();
    forced.force = true;
    assert!(!reused(forced).await);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_a_revoked_login_is_repeated() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    fixture.advance(LIFE);
    login(&fixture, &client, None).await;
    assert_eq!(
        (fixture.refreshes(), fixture.user.opened_urls().len()),
        (1, 1)
    );
    fixture.testbed.revoke_all_tokens();
    fixture.advance(LIFE);
    login(&fixture, &client, None).await;
    assert_eq!(
        (fixture.refreshes(), fixture.user.opened_urls().len()),
        (2, 2)
    );
}

#[tokio::test]
async fn a_wider_scope_starts_a_new_login_and_a_narrower_one_does_not() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    login(&fixture, &client, Some("notes:read notes:write")).await;
    assert_eq!(fixture.user.opened_urls().len(), 2);
    assert_eq!(
        parameter(&fixture.user.opened_urls()[1], "scope"),
        "notes:read notes:write"
    );
    login(&fixture, &client, Some("notes:write")).await;
    login(&fixture, &client, None).await;
    assert_eq!(fixture.user.opened_urls().len(), 2);
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_not_requested_again() {
    let (fixture, client) = fixture_and_client().await;
    let narrow = mcp_oauth_testbed::Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    for _ in 0..3 {
        login(&fixture, &client, Some("notes:read notes:write")).await;
    }
    assert_eq!(fixture.user.opened_urls().len(), 1);
    let session = client.session_or_error(&fixture.key()).await.unwrap();
    assert_eq!(session.missing_scope().unwrap().to_string(), "notes:write");
}

#[tokio::test]
async fn a_session_of_an_earlier_process_is_opened_from_the_store() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    let next_run = Client::new(fixture.platform.clone(), fixture.store.clone());
    assert_eq!(
        next_run.ready_header(&fixture.key()),
        None,
        "the store was not read: that would be I/O"
    );
    login(&fixture, &next_run, None).await;
    assert_eq!(
        next_run.ready_header(&fixture.key()),
        client.ready_header(&fixture.key())
    );
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn opening_an_existing_session_starts_no_login() {
    let (fixture, client) = fixture_and_client().await;
    let key = fixture.key();
    let error = client.headers(&key, &HeaderMap::new()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Authorization(AuthorizationError::LoginRequired(_))
        ),
        "{error}"
    );
    assert!(
        client
            .request(&key, Method::GET, fixture.testbed.server_url())
            .await
            .is_err()
    );
    assert!(client.session(&key).await.unwrap().is_none());
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn tokens_of_several_servers_are_never_mixed() {
    let (fixture, client) = fixture_and_client().await;
    let other = Testbed::start().await.unwrap();
    let servers = [fixture.server.clone(), server_url(&other)];
    for server in &servers {
        client
            .ensure(server, &LoginOptions::default())
            .await
            .unwrap();
    }
    let [one, two] = servers
        .clone()
        .map(|server| client.ready_header(&(&server).into()).unwrap());
    assert_ne!(one, two);
    for (server, header) in servers.iter().zip([one, two]) {
        let url = server.as_url().join("/mcp/notes").unwrap();
        let request = client
            .request(&server.into(), Method::GET, url)
            .await
            .unwrap();
        assert_eq!(request.send().await.unwrap().status, 200);
        let headers = client
            .headers(&server.into(), &HeaderMap::new())
            .await
            .unwrap();
        assert_eq!(headers[header::AUTHORIZATION], header);
    }
    let url = other.server_url();
    let crossed = client
        .request(&fixture.key(), Method::GET, url)
        .await
        .unwrap();
    assert!(crossed.send().await.is_err());
    assert_eq!(client.keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_cached_header_needs_no_request_and_expires_with_its_token() {
    let (fixture, client) = fixture_and_client().await;
    let key = fixture.key();
    assert_eq!(client.ready_header(&key), None);
    login(&fixture, &client, None).await;
    let requests = fixture.testbed.requests().len();
    let header = client.ready_header(&key).unwrap();
    assert!(header.is_sensitive());
    fixture.advance(LIFE);
    assert_eq!(client.ready_header(&key), None);
    assert_eq!(fixture.testbed.requests().len(), requests);
}

#[tokio::test]
async fn caller_headers_are_copied_and_not_changed() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    let mut extra = HeaderMap::new();
    extra.insert("x-trace", HeaderValue::from_static("1"));
    extra.insert(
        header::AUTHORIZATION,
        HeaderValue::from_static("Basic planted"),
    );
    let before = extra.clone();
    let headers = client.headers(&fixture.key(), &extra).await.unwrap();
    assert_eq!(extra, before);
    assert_eq!(headers["x-trace"], "1");
    assert_eq!(
        headers[header::AUTHORIZATION],
        client.ready_header(&fixture.key()).unwrap()
    );
    assert_eq!(headers.get_all(header::AUTHORIZATION).iter().count(), 1);
}

#[tokio::test]
async fn a_logout_revokes_the_tokens_and_remove_sends_nothing() {
    let (fixture, client) = fixture_and_client().await;
    let key = fixture.key();
    login(&fixture, &client, None).await;
    assert!(client.remove(&key).await.unwrap());
    assert_eq!(
        (fixture.posts("/revoke"), client.ready_header(&key)),
        (0, None)
    );
    assert!(!client.remove(&key).await.unwrap());

    login(&fixture, &client, None).await;
    let outcome = client.logout(&key).await.unwrap();
    assert!(outcome.removed && matches!(outcome.remote, RevocationOutcome::Revoked));
    assert_eq!(client.ready_header(&key), None);
    assert_eq!(client.keys().await.unwrap(), []);
}

#[tokio::test]
async fn a_new_login_requests_the_scope_granted_before() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, Some("notes:read")).await;
    for scope in ["notes:write", "notes:read", "notes:write"] {
        login(&fixture, &client, Some(scope)).await;
    }
    let opened = fixture.user.opened_urls();
    assert_eq!(opened.len(), 2);
    let requested = parameter(&opened[1], "scope");
    assert!(
        requested.contains("notes:read") && requested.contains("notes:write"),
        "{requested}"
    );
}
