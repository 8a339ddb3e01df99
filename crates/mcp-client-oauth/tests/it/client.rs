//! `Client`: several servers over one store, and a login only when one is needed.

use std::{future::IntoFuture as _, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    Client, Error, Login, Remedy, RevocationOutcome, Secret, Session,
    error::{AuthorizationError, RegistrationError},
    platform::ReqwestClient,
};
use mcp_oauth_testbed::{Fault, Testbed};
use tokio::task::JoinSet;

use crate::support::{Fixture, bounded, parameter, server_url};

mod requests;

const LIFE: Duration = Duration::from_secs(300);

async fn fixture_and_client() -> (Fixture, Client) {
    let fixture = Fixture::start().await;
    let client = fixture.client();
    (fixture, client)
}

/// Logs in unless a stored login is enough.
async fn login(fixture: &Fixture, client: &Client, scope: Option<&str>) -> Session {
    let mut login = client.login(&fixture.server);
    if let Some(scope) = scope {
        login = login.scope(scope);
    }
    bounded(login.into_future()).await.unwrap()
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
    let is_reused = async |configure: fn(Login) -> Login| {
        let login = configure(client.login(&fixture.server));
        bounded(login.into_future()).await.unwrap().is_reused()
    };
    assert!(!is_reused(|login| login).await);
    assert!(is_reused(|login| login).await);
    // A refresh opens no browser: it is the same login.
    fixture.advance(LIFE);
    assert!(is_reused(|login| login).await);
    assert!(!is_reused(|login| login.account("other")).await);
    assert!(!is_reused(Login::force).await);
}

/// The record is removed with the refresh token that was refused. The access token has not expired yet.
#[tokio::test]
async fn a_login_that_the_server_has_revoked_is_not_reused() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    fixture.testbed.revoke_all_tokens();
    let refused = bounded(session.get("notes").send()).await.unwrap_err();
    assert_eq!(refused.remedy(), Remedy::LogIn);

    let session = login(&fixture, &client, None).await;
    assert!(!session.is_reused());
    let notes = bounded(session.get("notes").send()).await.unwrap();
    assert_eq!(notes.status, 200);
}

#[tokio::test]
async fn force_and_reauthenticate_ask_the_user_again() {
    let (fixture, client) = fixture_and_client().await;
    login(&fixture, &client, None).await;
    for (again, registrations) in [
        (Login::reauthenticate as fn(Login) -> Login, 1),
        (Login::force, 2),
    ] {
        let before = fixture.user.opened_urls().len();
        let login = again(client.login(&fixture.server)).into_future();
        assert!(!bounded(login).await.unwrap().is_reused());
        assert_eq!(fixture.user.opened_urls().len(), before + 1);
        assert_eq!(fixture.posts("/register"), registrations);
    }
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
    let narrow = Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    for _ in 0..3 {
        login(&fixture, &client, Some("notes:read notes:write")).await;
    }
    assert_eq!(fixture.user.opened_urls().len(), 1);
    let session = client.session(fixture.key()).await.unwrap();
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

#[tokio::test]
async fn a_session_of_an_earlier_process_is_opened_from_the_store() {
    let (fixture, client) = fixture_and_client().await;
    let first = login(&fixture, &client, None).await;
    let next_run = fixture.client();
    let opened = next_run.session(&fixture.server).await.unwrap();
    assert!(opened.is_reused());
    let next = login(&fixture, &next_run, None).await;
    assert!(next.is_reused());
    assert!(first.cached_header().is_some());
    for session in [opened, next] {
        assert_eq!(session.cached_header(), first.cached_header());
    }
    assert_eq!(fixture.user.opened_urls().len(), 1);
}

#[tokio::test]
async fn opening_an_existing_session_starts_no_login() {
    let (fixture, client) = fixture_and_client().await;
    let by_account = fixture.key().with_account("work");
    let texts = [
        client.session(fixture.server.as_str()).await,
        client.session(&fixture.server).await,
        client.session(fixture.key()).await,
        client.session(&by_account).await,
    ];
    for error in texts.map(Result::unwrap_err) {
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::LoginRequired(_))
            ),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::LogIn);
    }
    let error = client.session("not a URL").await.unwrap_err();
    assert!(matches!(error, Error::ServerUrl(_)), "{error}");
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_bad_server_url_or_scope_is_an_error_of_the_login() {
    let (fixture, client) = fixture_and_client().await;
    for url in [
        "",
        "not a URL",
        "http://mcp.example/mcp",
        "https://u:p@mcp.example/mcp",
    ] {
        for login in [client.login(url), client.login(url.to_owned())] {
            let error = login.clone().scope("notes:read").await.unwrap_err();
            assert!(matches!(error, Error::ServerUrl(_)), "{url}: {error}");
            assert_eq!(error.remedy(), Remedy::Reconfigure);
            let error = login.on_demand().await.unwrap_err();
            assert!(matches!(error, Error::ServerUrl(_)), "{url}: {error}");
        }
    }
    for scope in ["a\"b", "a\\b", "é"] {
        let login = client.login(&fixture.server).scope(scope);
        let error = bounded(login.into_future()).await.unwrap_err();
        assert!(matches!(error, Error::Scope(_)), "{scope}: {error}");
        assert_eq!(error.remedy(), Remedy::Reconfigure);
    }
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_secret_without_a_client_id_is_refused() {
    let (fixture, client) = fixture_and_client().await;
    let login = client.login(&fixture.server);
    let secret = login.client_secret(Secret::new("planted".to_owned()));
    for error in [
        bounded(secret.clone().into_future()).await.unwrap_err(),
        secret.clone().on_demand().await.unwrap_err(),
        bounded(secret.client_id("").into_future())
            .await
            .unwrap_err(),
    ] {
        assert!(
            matches!(
                error,
                Error::Registration(RegistrationError::ClientIdRequired)
            ),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::Reconfigure);
        assert!(!error.to_string().contains("planted"), "{error}");
    }
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn a_login_on_demand_asks_the_user_at_the_first_request() {
    let (fixture, client) = fixture_and_client().await;
    let login = client.login(&fixture.server).scope("notes:write");
    let session = login.on_demand().await.unwrap();
    fixture.assert_nothing_was_sent();
    assert!(!session.is_reused());
    assert!(session.cached_header().is_none() && session.record().is_none());
    assert_eq!(session.key(), fixture.key());
    for _ in 0..2 {
        let response = bounded(session.get("notes").send()).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(fixture.user.opened_urls().len(), 1);
    }
    let requested = parameter(&fixture.user.opened_urls()[0], "scope");
    assert_eq!(requested, "notes:write");
    assert_eq!(session.record(), fixture.record().await);
    let again = client.login(&fixture.server).on_demand().await.unwrap();
    assert!(again.is_reused());
}

#[tokio::test]
async fn the_parts_of_a_client_are_set_by_its_builder() {
    let fixture = Fixture::start().await;
    let client = Client::builder()
        .store(fixture.store.clone())
        .client_name("Notes for cats")
        .http_client(ReqwestClient::default())
        .clock(fixture.clock.clone())
        .interaction(Arc::clone(&fixture.user))
        .build()
        .await
        .unwrap();
    let login = client.login(fixture.server.as_str()).into_future();
    bounded(login).await.unwrap();
    let registration = fixture.last("POST", "/register").json().unwrap();
    assert_eq!(registration["client_name"], "Notes for cats");
    let record = fixture.record().await.unwrap();
    assert_eq!(record.tokens.issued_at, crate::support::start_time());
}

#[tokio::test]
async fn tokens_of_several_servers_are_never_mixed() {
    let (fixture, client) = fixture_and_client().await;
    let other = Testbed::start().await.unwrap();
    let servers = [fixture.server.clone(), server_url(&other)];
    let mut sessions = Vec::new();
    for server in &servers {
        sessions.push(client.login(server).await.unwrap());
    }
    let headers: Vec<_> = sessions.iter().filter_map(Session::cached_header).collect();
    assert_eq!(headers.len(), 2);
    assert_ne!(headers[0], headers[1]);
    for (server, header) in servers.iter().zip(headers) {
        let session = client.session(server).await.unwrap();
        let response = session.get("notes").send().await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(session.header().await.unwrap(), header);
    }
    let crossed = sessions[0].get(other.server_url()).send().await;
    assert!(crossed.is_err());
    assert_eq!(client.logins().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_cached_header_needs_no_request_and_expires_with_its_token() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    let requests = fixture.testbed.requests().len();
    assert!(session.cached_header().unwrap().is_sensitive());
    fixture.advance(LIFE);
    assert_eq!(session.cached_header(), None);
    assert_eq!(fixture.testbed.requests().len(), requests);
    let header = session.header().await.unwrap();
    assert_eq!(fixture.refreshes(), 1, "the header waits for a new token");
    assert_eq!(session.cached_header(), Some(header));
}

#[tokio::test]
async fn credentials_keep_the_headers_of_the_caller_except_authorization() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    let mut headers = HeaderMap::new();
    headers.insert("x-trace", HeaderValue::from_static("1"));
    headers.insert(
        header::AUTHORIZATION,
        HeaderValue::from_static("Basic planted"),
    );
    let credentials = session.credentials(&Method::GET, fixture.server.as_url());
    credentials.await.unwrap().apply(&mut headers);
    assert_eq!(headers["x-trace"], "1");
    let authorizations: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
    assert_eq!(authorizations, [&session.cached_header().unwrap()]);
}

#[tokio::test]
async fn a_header_after_a_rejection_is_a_compare_and_swap() {
    let (fixture, client) = fixture_and_client().await;
    let session = login(&fixture, &client, None).await;
    let refused = session.header().await.unwrap();
    fixture.testbed.revoke_access_tokens();
    let replace = |refused: HeaderValue| {
        let session = session.clone();
        async move {
            let (status, headers) = (StatusCode::UNAUTHORIZED, HeaderMap::new());
            let header = session.header_after_rejection(&refused, status, &headers);
            bounded(header).await.unwrap()
        }
    };
    let tasks: JoinSet<_> = (0..50).map(|_| replace(refused.clone())).collect();
    let headers = tasks.join_all().await;
    assert_ne!(headers[0], refused);
    assert!(headers.iter().all(|header| *header == headers[0]));
    assert_eq!(fixture.refreshes(), 1);
    // The refused header is no longer the current one.
    assert_eq!(replace(refused).await, headers[0]);
    assert_eq!(fixture.refreshes(), 1);
    assert_ne!(replace(headers[0].clone()).await, headers[0]);
    assert_eq!(fixture.refreshes(), 2);
    let other = HeaderValue::from_static("Basic planted");
    assert_eq!(Some(replace(other).await), session.cached_header());
    assert_eq!(fixture.refreshes(), 2);
}

#[tokio::test]
async fn a_logout_revokes_the_tokens_and_remove_sends_nothing() {
    let (fixture, client) = fixture_and_client().await;
    let key = fixture.key();
    login(&fixture, &client, None).await;
    assert!(client.remove(&key).await.unwrap());
    assert_eq!(fixture.posts("/revoke"), 0);
    assert!(client.session(&key).await.is_err());
    assert!(!client.remove(&key).await.unwrap());

    let session = login(&fixture, &client, None).await;
    assert!(!session.is_reused());
    let outcome = session.logout().await.unwrap();
    assert!(outcome.removed && matches!(outcome.remote, RevocationOutcome::Revoked));
    assert!(client.session(&key).await.is_err());
    assert_eq!(client.logins().await.unwrap(), []);
    assert!(!client.logout(&key).await.unwrap().removed);
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
