//! Sessions of a non-interactive login repeat its grant.

use std::sync::Arc;

use http::StatusCode;
use mcp_client_oauth::{
    Client, TokenStore,
    adapters::TokenSource as _,
    error::TokenRefreshError,
    flow::{AccessToken, Challenge, TokenSet},
    platform::{Platform, Response},
    store::Record,
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, ProtocolEra};
use mcp_oauth_testing::{ManualClock, ScriptedHttp};
use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::support::{TestUser, bounded, start_time};

const LIFE: Duration = Duration::from_secs(300);

async fn logged_in(builder: Builder) -> (Fixture, Session) {
    let fixture = fixture(builder).await;
    let session = fixture.login_with(credentials).await.unwrap();
    (fixture, session)
}

fn grants(fixture: &Fixture) -> usize {
    fixture.testbed.token_requests("client_credentials")
}

#[tokio::test]
async fn fifty_tasks_with_an_expired_token_cause_one_grant_and_no_login() {
    let (fixture, session) = logged_in(with_client()).await;
    fixture.advance(LIFE);
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let session = session.clone();
        tasks.spawn(async move { session.token().await.unwrap().expose().to_owned() });
    }
    let tokens = bounded(tasks.join_all()).await;
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(grants(&fixture), 2);
    assert_non_interactive(&fixture);
}

#[tokio::test]
async fn a_rejected_token_is_replaced_by_a_new_grant() {
    let (fixture, session) = logged_in(with_client()).await;
    fixture.testbed.revoke_access_tokens();
    let response = session.get("notes").send();
    let response = bounded(Box::pin(response)).await.unwrap();
    assert!(response.status.is_success());
    assert_eq!(grants(&fixture), 2);
}

#[tokio::test]
async fn a_broken_connection_is_retried_and_an_error_response_is_not() {
    let (fixture, session) = logged_in(with_client()).await;
    drop(session);
    let (session, clock) = fixture.auto_advancing_session().await;
    let cut = Fault::Corrupt(Endpoint::Token, Corruption::CutAfter(0));
    fixture.testbed.set_fault(cut);
    let error = bounded(session.refresh()).await.unwrap_err();
    assert_eq!((grants(&fixture), clock.slept().len()), (5, 3));
    assert_eq!(error.remedy(), Remedy::Retry);
    fixture.testbed.clear_faults();

    let refused = Fault::TokenErrorWith200("invalid_grant".to_owned());
    fixture.testbed.set_fault(refused);
    let error = bounded(session.refresh()).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::TokenRefresh(TokenRefreshError::NonInteractiveGrant(_))
        ),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    assert_eq!(grants(&fixture), 6);
    // The record stays: the error may be fixed at the server.
    fixture.testbed.clear_faults();
    bounded(session.refresh()).await.unwrap();
}

#[tokio::test]
async fn clients_and_interactive_sources_open_no_browser() {
    let fixture = fixture(with_client()).await;
    let client = fixture.client();
    for is_reused in [false, true] {
        let session = credentials(client.login(&fixture.server)).await.unwrap();
        assert_eq!(session.is_reused(), is_reused);
    }
    assert_eq!(grants(&fixture), 1);
    let other = Client::with_platform(fixture.platform.clone(), TokenStore::memory());
    let source = credentials(other.login(&fixture.server)).on_demand().await;
    let source = source.unwrap();
    let extension = Some("io.modelcontextprotocol/oauth-client-credentials");
    assert_eq!(source.mcp_extension(), extension);
    source.token().await.unwrap();
    assert_eq!((grants(&fixture), source.mcp_extension()), (2, extension));
    assert_non_interactive(&fixture);
}

#[tokio::test]
async fn another_grant_is_a_new_login() {
    let fixture = fixture(with_client().client("robot-of-people", None)).await;
    fixture.login().await.unwrap();
    assert_eq!(fixture.user.opened_urls().len(), 1);
    let login = credentials(fixture.client().login(&fixture.server));
    assert!(!login.await.unwrap().is_reused());
    assert_eq!((grants(&fixture), fixture.user.opened_urls().len()), (1, 1));
}

fn insufficient(scope: &str) -> Challenge {
    let value = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    let headers =
        http::HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, value.parse().unwrap())]);
    Challenge::from_headers(StatusCode::FORBIDDEN, &headers).unwrap()
}

#[tokio::test]
async fn a_wider_scope_is_requested_without_a_browser() {
    let (fixture, session) = logged_in(with_client().step_up(true)).await;
    let client = bounded(Box::pin(session.mcp())).await.unwrap();
    let arguments = json!({"text": "feed the cat"}).as_object().cloned();
    let call = CallToolRequestParams::new("write_note").with_arguments(arguments.unwrap());
    let count = bounded(client.call_tool(call)).await.unwrap();
    assert_eq!(count.structured_content, Some(json!({"count": 2})));
    assert_eq!(grants(&fixture), 2);
    let requested = fixture.last("POST", "/token").form("scope").unwrap();
    assert_eq!(requested, "notes:read notes:write");
    assert_eq!(
        fixture.record().await.unwrap().requested,
        requested.parse().ok()
    );
    assert_non_interactive(&fixture);
    bounded(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_scope_that_is_never_granted_is_requested_once_per_challenge_up_to_the_limit() {
    let (fixture, session) = logged_in(with_client()).await;
    let narrow = Fault::TokenField("scope".to_owned(), "notes:read".into());
    fixture.testbed.set_fault(narrow);
    let widen = async |scope: &str| {
        let token = session.token().await.unwrap();
        session
            .refresh_after_rejection(&token, &insufficient(scope))
            .await
    };
    widen("notes:write").await.unwrap();
    let again = widen("notes:write").await.unwrap_err();
    assert!(again.to_string().contains("notes:write"), "{again}");
    assert_eq!(grants(&fixture), 2);
    let refused = Fault::TokenErrorWith200("invalid_scope".to_owned());
    fixture.testbed.set_fault(refused);
    for scope in ["a", "b", "c", "d", "e"] {
        assert!(widen(scope).await.is_err());
    }
    assert_eq!(grants(&fixture), 4);
    // A rejected scope is not requested again.
    let requested = fixture.record().await.unwrap().requested.unwrap();
    assert_eq!(requested.to_string(), "notes:read notes:write");
}

#[tokio::test]
async fn the_extension_is_declared_to_servers_that_support_it() {
    let (fixture, session) = logged_in(with_client().protocol_era(ProtocolEra::Stateless)).await;
    let client = bounded(Box::pin(session.mcp())).await.unwrap();
    bounded(client.list_all_tools()).await.unwrap();
    let body = fixture.last("POST", "/mcp").json().unwrap();
    let meta: &Value = &body["params"]["_meta"];
    let declared = &meta["io.modelcontextprotocol/clientCapabilities"]["extensions"];
    let expected = json!({"io.modelcontextprotocol/oauth-client-credentials": {}});
    assert_eq!(*declared, expected, "{body}");
    bounded(client.cancel()).await.unwrap();

    let fixture = Fixture::with(Testbed::builder().protocol_era(ProtocolEra::Stateless)).await;
    let session = fixture.login().await.unwrap();
    let client = bounded(Box::pin(session.mcp())).await.unwrap();
    bounded(client.list_all_tools()).await.unwrap();
    let body = fixture.last("POST", "/mcp").json().unwrap();
    assert!(!body.to_string().contains("extensions"), "{body}");
    bounded(client.cancel()).await.unwrap();
}

/// Returns a session with a refresh token in its record, and a scripted server.
async fn scripted(
    script: impl IntoIterator<Item = Response>,
) -> (Session, Arc<ScriptedHttp>, TokenStore) {
    let fixture = fixture(with_client()).await;
    fixture.login_with(credentials).await.unwrap();
    let mut record: Record = fixture.record().await.unwrap();
    let mut tokens = TokenSet::new(AccessToken::new("old").unwrap(), start_time());
    tokens.refresh_token = Some(secret("refresh-one"));
    record.tokens = tokens;
    let http = Arc::new(ScriptedHttp::new(script.into_iter().map(Ok)));
    let clock = Arc::new(ManualClock::auto_advancing(start_time()));
    let platform = Platform::new(http.clone(), clock, TestUser::idle());
    let store = TokenStore::memory();
    let mut lock = store.lock(&fixture.key()).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let client = Client::with_platform(platform, store.clone());
    let session = client.session(fixture.key()).await.unwrap();
    (session, http, store)
}

fn response(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::new(status, http::HeaderMap::new(), body.to_string())
}

fn sent_grants(http: &ScriptedHttp) -> Vec<String> {
    let body = |request: &mcp_client_oauth::platform::Request| {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        body.split('&').next().unwrap().to_owned()
    };
    http.requests().iter().map(body).collect()
}

#[tokio::test]
async fn a_refresh_token_is_used_before_a_new_grant() {
    let new = json!({"access_token": "new", "token_type": "Bearer"});
    let (session, http, _) = scripted([response(200, &new)]).await;
    assert_eq!(session.refresh().await.unwrap().expose(), "new");
    assert_eq!(sent_grants(&http), ["grant_type=refresh_token"]);
}

#[tokio::test]
async fn a_rejected_refresh_token_leads_to_a_new_grant() {
    let no = json!({"error": "invalid_grant"});
    let new = json!({"access_token": "new", "token_type": "Bearer"});
    let (session, http, store) = scripted([response(400, &no), response(200, &new)]).await;
    assert_eq!(session.refresh().await.unwrap().expose(), "new");
    let grants = ["grant_type=refresh_token", "grant_type=client_credentials"];
    assert_eq!(sent_grants(&http), grants);
    let (record, _) = store.load(&session.key()).await.unwrap().unwrap();
    assert_eq!(record.tokens.refresh_token, None);
    assert_eq!(record.tokens.access_token.expose(), "new");
}

#[tokio::test]
async fn a_temporarily_failing_refresh_starts_no_new_grant() {
    let busy = || response(503, &json!({}));
    let (session, http, _) = scripted([busy(), busy(), busy(), busy()]).await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry);
    assert!(
        sent_grants(&http)
            .iter()
            .all(|sent| sent == "grant_type=refresh_token")
    );
}
