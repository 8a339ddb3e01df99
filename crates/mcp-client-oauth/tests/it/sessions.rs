//! The front door: several servers over one store, and a person who is asked only when need be.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, header};
use mcp_client_oauth::{
    Client, Ensured, Error, LoginOptions, RevocationOutcome, error::AuthorizationError,
};
use mcp_oauth_testbed::Testbed;

use crate::support::{Fixture, bounded, parameter, server_url};

const LIFE: Duration = Duration::from_secs(300);

async fn front_door() -> (Fixture, Client) {
    let fixture = Fixture::start().await;
    let sessions = Client::new(fixture.platform.clone(), fixture.store.clone());
    (fixture, sessions)
}

async fn ensured(fixture: &Fixture, sessions: &Client, scope: Option<&str>) {
    let mut options = LoginOptions::default();
    options.scope = scope.map(|scope| scope.parse().unwrap());
    bounded(Box::pin(sessions.ensure(&fixture.server, &options)))
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_is_done_for_a_session_that_is_good() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, None).await;
    let requests = fixture.testbed.requests().len();
    for _ in 0..3 {
        ensured(&fixture, &sessions, None).await;
        ensured(&fixture, &sessions, Some("notes:read")).await;
    }
    assert_eq!(fixture.testbed.requests().len(), requests);
    assert_eq!(fixture.person.opened().len(), 1);
}

#[tokio::test]
async fn a_caller_can_tell_a_login_that_is_reused_from_a_new_one() {
    let (fixture, sessions) = front_door().await;
    let reused = async |options: LoginOptions| {
        let ensured = Box::pin(sessions.ensure_or_reuse(&fixture.server, &options));
        matches!(bounded(ensured).await.unwrap(), Ensured::Reused(_))
    };
    assert!(!reused(LoginOptions::default()).await);
    assert!(reused(LoginOptions::default()).await);
    // A refresh opens no browser: it is the same login.
    fixture.pass(LIFE);
    assert!(reused(LoginOptions::default()).await);
    let mut other = LoginOptions::default();
    other.account = Some("other".to_owned());
    assert!(!reused(other).await);
    let mut forced = LoginOptions::default();
    forced.afresh = true;
    assert!(!reused(forced).await);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_and_a_spent_login_is_made_again() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, None).await;
    fixture.pass(LIFE);
    ensured(&fixture, &sessions, None).await;
    assert_eq!((fixture.refreshes(), fixture.person.opened().len()), (1, 1));
    fixture.testbed.revoke_everything();
    fixture.pass(LIFE);
    ensured(&fixture, &sessions, None).await;
    assert_eq!((fixture.refreshes(), fixture.person.opened().len()), (2, 2));
}

#[tokio::test]
async fn a_wider_scope_is_a_new_login_and_a_narrower_one_is_not() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, None).await;
    ensured(&fixture, &sessions, Some("notes:read notes:write")).await;
    assert_eq!(fixture.person.opened().len(), 2);
    assert_eq!(
        parameter(&fixture.person.opened()[1], "scope"),
        "notes:read notes:write"
    );
    ensured(&fixture, &sessions, Some("notes:write")).await;
    ensured(&fixture, &sessions, None).await;
    assert_eq!(fixture.person.opened().len(), 2);
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_not_asked_for_each_time() {
    let (fixture, sessions) = front_door().await;
    let narrow = mcp_oauth_testbed::Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    for _ in 0..3 {
        ensured(&fixture, &sessions, Some("notes:read notes:write")).await;
    }
    assert_eq!(fixture.person.opened().len(), 1);
    let session = sessions.session_or_error(&fixture.key()).await.unwrap();
    assert_eq!(session.missing_scope().unwrap().to_string(), "notes:write");
}

#[tokio::test]
async fn a_session_of_an_earlier_run_is_opened_from_the_store() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, None).await;
    let next_run = Client::new(fixture.platform.clone(), fixture.store.clone());
    assert_eq!(
        next_run.ready_header(&fixture.key()),
        None,
        "that would be I/O"
    );
    ensured(&fixture, &next_run, None).await;
    assert_eq!(
        next_run.ready_header(&fixture.key()),
        sessions.ready_header(&fixture.key())
    );
    assert_eq!(fixture.person.opened().len(), 1);
}

#[tokio::test]
async fn nobody_is_asked_for_a_session_that_must_exist() {
    let (fixture, sessions) = front_door().await;
    let key = fixture.key();
    let error = sessions.headers(&key, &HeaderMap::new()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Authorization(AuthorizationError::LoginRequired(_))
        ),
        "{error}"
    );
    assert!(
        sessions
            .request(&key, Method::GET, fixture.testbed.server_url())
            .await
            .is_err()
    );
    assert!(sessions.session(&key).await.unwrap().is_none());
    fixture.assert_nothing_was_sent();
}

#[tokio::test]
async fn several_servers_never_mix() {
    let (fixture, sessions) = front_door().await;
    let other = Testbed::start().await.unwrap();
    let servers = [fixture.server.clone(), server_url(&other)];
    for server in &servers {
        sessions
            .ensure(server, &LoginOptions::default())
            .await
            .unwrap();
    }
    let [one, two] = servers
        .clone()
        .map(|server| sessions.ready_header(&(&server).into()).unwrap());
    assert_ne!(one, two);
    for (server, header) in servers.iter().zip([one, two]) {
        let url = server.as_url().join("/mcp/notes").unwrap();
        let request = sessions
            .request(&server.into(), Method::GET, url)
            .await
            .unwrap();
        assert_eq!(request.send().await.unwrap().status, 200);
        let headers = sessions
            .headers(&server.into(), &HeaderMap::new())
            .await
            .unwrap();
        assert_eq!(headers[header::AUTHORIZATION], header);
    }
    let url = other.server_url();
    let crossed = sessions
        .request(&fixture.key(), Method::GET, url)
        .await
        .unwrap();
    assert!(crossed.send().await.is_err());
    assert_eq!(sessions.keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_ready_header_asks_nobody_and_is_gone_with_its_token() {
    let (fixture, sessions) = front_door().await;
    let key = fixture.key();
    assert_eq!(sessions.ready_header(&key), None);
    ensured(&fixture, &sessions, None).await;
    let requests = fixture.testbed.requests().len();
    let header = sessions.ready_header(&key).unwrap();
    assert!(header.is_sensitive());
    fixture.pass(LIFE);
    assert_eq!(sessions.ready_header(&key), None);
    assert_eq!(fixture.testbed.requests().len(), requests);
}

#[tokio::test]
async fn the_headers_of_the_caller_are_copied_and_not_changed() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, None).await;
    let mut extra = HeaderMap::new();
    extra.insert("x-trace", HeaderValue::from_static("1"));
    extra.insert(
        header::AUTHORIZATION,
        HeaderValue::from_static("Basic planted"),
    );
    let before = extra.clone();
    let headers = sessions.headers(&fixture.key(), &extra).await.unwrap();
    assert_eq!(extra, before);
    assert_eq!(headers["x-trace"], "1");
    assert_eq!(
        headers[header::AUTHORIZATION],
        sessions.ready_header(&fixture.key()).unwrap()
    );
    assert_eq!(headers.get_all(header::AUTHORIZATION).iter().count(), 1);
}

#[tokio::test]
async fn a_logout_tells_the_server_and_a_clearance_tells_nobody() {
    let (fixture, sessions) = front_door().await;
    let key = fixture.key();
    ensured(&fixture, &sessions, None).await;
    assert!(sessions.remove(&key).await.unwrap());
    assert_eq!(
        (fixture.posts("/revoke"), sessions.ready_header(&key)),
        (0, None)
    );
    assert!(!sessions.remove(&key).await.unwrap());

    ensured(&fixture, &sessions, None).await;
    let outcome = sessions.logout(&key).await.unwrap();
    assert!(outcome.forgotten && matches!(outcome.remote, RevocationOutcome::Revoked));
    assert_eq!(sessions.ready_header(&key), None);
    assert_eq!(sessions.keys().await.unwrap(), []);
}

#[tokio::test]
async fn what_was_granted_before_is_asked_for_again() {
    let (fixture, sessions) = front_door().await;
    ensured(&fixture, &sessions, Some("notes:read")).await;
    for scope in ["notes:write", "notes:read", "notes:write"] {
        ensured(&fixture, &sessions, Some(scope)).await;
    }
    let opened = fixture.person.opened();
    assert_eq!(opened.len(), 2);
    let asked = parameter(&opened[1], "scope");
    assert!(
        asked.contains("notes:read") && asked.contains("notes:write"),
        "{asked}"
    );
}
