//! A session whose login needed nobody goes that way again.

use std::sync::Arc;

use http::StatusCode;
use mcp_client_oauth::{
    Authorized, Client, InteractiveSession, TokenStore,
    error::TokenRefreshError,
    mcp::connect,
    platform::{Platform, Response},
    proto::{
        challenge::Challenge,
        token::{AccessToken, TokenSet},
    },
    store::{LoginKey, Record},
    testing::{ManualClock, ScriptedHttp},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Wire};
use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::*;
use crate::support::{Person, bounded, the_time};

const LIFE: Duration = Duration::from_secs(300);

fn credentials() -> LoginOptions {
    options(Some(robot()), NonInteractiveGrant::ClientCredentials)
}

async fn logged_in(builder: Builder) -> (Fixture, Session) {
    let fixture = fixture(builder).await;
    let session = fixture.login_with(&credentials()).await.unwrap();
    (fixture, session)
}

fn grants(fixture: &Fixture) -> usize {
    fixture.testbed.token_requests("client_credentials")
}

#[tokio::test]
async fn fifty_tasks_with_an_expired_token_cause_one_grant_and_nobody_is_asked() {
    let (fixture, session) = logged_in(robots()).await;
    fixture.pass(LIFE);
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let session = session.clone();
        tasks.spawn(async move { session.token().await.unwrap().expose().to_owned() });
    }
    let tokens = bounded(tasks.join_all()).await;
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(grants(&fixture), 2);
    assert_nobody_was_asked(&fixture);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_by_a_new_grant() {
    let (fixture, session) = logged_in(robots()).await;
    let authorized = Authorized::new(fixture.platform.clone(), Arc::new(session));
    fixture.testbed.revoke_access_tokens();
    let url = fixture.server.as_url().join("/mcp/notes").unwrap();
    let answer = bounded(Box::pin(authorized.get(url).send())).await.unwrap();
    assert!(answer.status.is_success());
    assert_eq!(grants(&fixture), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again_and_a_refusal_is_not() {
    let (fixture, session) = logged_in(robots()).await;
    drop(session);
    let (session, clock) = fixture.flying_session().await;
    let cut = Fault::Spoil(Endpoint::Token, Corruption::CutAfter(0));
    fixture.testbed.set_fault(cut);
    let error = bounded(session.refresh()).await.unwrap_err();
    assert_eq!((grants(&fixture), clock.slept().len()), (5, 3));
    assert_eq!(error.remedy(), Remedy::Retry);
    fixture.testbed.clear_faults();

    let refused = Fault::TokenErrorWith200("invalid_grant".to_owned());
    fixture.testbed.set_fault(refused);
    let error = bounded(session.refresh()).await.unwrap_err();
    assert!(
        matches!(error, Error::TokenRefresh(TokenRefreshError::Machine(_))),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    assert_eq!(grants(&fixture), 6);
    // What is configured stays: it may be mended at the other end.
    fixture.testbed.clear_faults();
    bounded(session.refresh()).await.unwrap();
}

#[tokio::test]
async fn sessions_and_interactive_sources_ask_nobody_either() {
    let fixture = fixture(robots()).await;
    let sessions = Client::new(fixture.platform.clone(), fixture.store.clone());
    sessions
        .ensure(&fixture.server, &credentials())
        .await
        .unwrap();
    sessions
        .ensure(&fixture.server, &credentials())
        .await
        .unwrap();
    assert_eq!(grants(&fixture), 1);
    let other = TokenStore::memory();
    let (platform, server) = (fixture.platform.clone(), fixture.server.clone());
    let source = InteractiveSession::open(platform, other, server, credentials()).await;
    let source = source.unwrap();
    let extension = Some("io.modelcontextprotocol/oauth-client-credentials");
    assert_eq!(source.mcp_extension(), extension);
    source.token().await.unwrap();
    assert_eq!((grants(&fixture), source.mcp_extension()), (2, extension));
    assert_nobody_was_asked(&fixture);
}

#[tokio::test]
async fn a_way_that_was_not_gone_before_is_a_new_login() {
    let fixture = fixture(robots().client("robot-of-people", None)).await;
    fixture.login().await.unwrap();
    assert_eq!(fixture.person.opened().len(), 1);
    let sessions = Client::new(fixture.platform.clone(), fixture.store.clone());
    sessions
        .ensure(&fixture.server, &credentials())
        .await
        .unwrap();
    assert_eq!((grants(&fixture), fixture.person.opened().len()), (1, 1));
}

fn insufficient(scope: &str) -> Challenge {
    let value = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
    let headers =
        http::HeaderMap::from_iter([(http::header::WWW_AUTHENTICATE, value.parse().unwrap())]);
    Challenge::from_headers(StatusCode::FORBIDDEN, &headers).unwrap()
}

#[tokio::test]
async fn a_wider_scope_is_asked_for_without_a_person() {
    let (fixture, session) = logged_in(robots().step_up(true)).await;
    let client = bounded(Box::pin(connect(Arc::new(session.clone())))).await;
    let client = client.unwrap();
    let arguments = json!({"text": "feed the cat"}).as_object().cloned();
    let call = CallToolRequestParams::new("write_note").with_arguments(arguments.unwrap());
    let count = bounded(client.call_tool(call)).await.unwrap();
    assert_eq!(count.structured_content, Some(json!({"count": 2})));
    assert_eq!(grants(&fixture), 2);
    let asked = fixture.last("POST", "/token").form("scope").unwrap();
    assert_eq!(asked, "notes:read notes:write");
    assert_eq!(
        fixture.record().await.unwrap().requested,
        asked.parse().ok()
    );
    assert_nobody_was_asked(&fixture);
    bounded(client.cancel()).await.unwrap();
}

#[tokio::test]
async fn a_scope_that_is_never_granted_is_asked_for_a_few_times_and_once_each() {
    let (fixture, session) = logged_in(robots()).await;
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
    // What was refused is not asked for again.
    let requested = fixture.record().await.unwrap().requested.unwrap();
    assert_eq!(requested.to_string(), "notes:read notes:write");
}

#[tokio::test]
async fn the_extension_is_declared_to_servers_that_know_of_it() {
    let (fixture, session) = logged_in(robots().wire(Wire::Stateless)).await;
    let client = bounded(Box::pin(connect(Arc::new(session)))).await.unwrap();
    bounded(client.list_all_tools()).await.unwrap();
    let body = fixture.last("POST", "/mcp").json().unwrap();
    let meta: &Value = &body["params"]["_meta"];
    let declared = &meta["io.modelcontextprotocol/clientCapabilities"]["extensions"];
    let expected = json!({"io.modelcontextprotocol/oauth-client-credentials": {}});
    assert_eq!(*declared, expected, "{body}");
    bounded(client.cancel()).await.unwrap();

    let fixture = Fixture::with(Testbed::builder().wire(Wire::Stateless)).await;
    let session = fixture.login().await.unwrap();
    let client = bounded(Box::pin(connect(Arc::new(session)))).await.unwrap();
    bounded(client.list_all_tools()).await.unwrap();
    let body = fixture.last("POST", "/mcp").json().unwrap();
    assert!(!body.to_string().contains("extensions"), "{body}");
    bounded(client.cancel()).await.unwrap();
}

/// A session whose record has a refresh token besides, and a server that follows a script.
async fn scripted(
    script: impl IntoIterator<Item = Response>,
) -> (Session, Arc<ScriptedHttp>, TokenStore) {
    let fixture = fixture(robots()).await;
    fixture.login_with(&credentials()).await.unwrap();
    let mut record: Record = fixture.record().await.unwrap();
    let mut tokens = TokenSet::new(AccessToken::new("old").unwrap(), the_time());
    tokens.refresh_token = Some(secret("refresh-one"));
    record.tokens = tokens;
    let http = Arc::new(ScriptedHttp::new(script.into_iter().map(Ok)));
    let clock = Arc::new(ManualClock::auto_advancing(the_time()));
    let platform = Platform::new(http.clone(), clock, Person::who_waits());
    let store = TokenStore::memory();
    let key: LoginKey = fixture.key();
    let mut lock = store.lock(&key).await.unwrap();
    let revision = store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let session = Session::new(platform, store.clone(), key, record, revision);
    (session, http, store)
}

fn answer(status: u16, body: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    Response::new(status, http::HeaderMap::new(), body.to_string())
}

fn sent(http: &ScriptedHttp) -> Vec<String> {
    let body = |request: &mcp_client_oauth::platform::Request| {
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        body.split('&').next().unwrap().to_owned()
    };
    http.requests().iter().map(body).collect()
}

#[tokio::test]
async fn a_refresh_token_goes_before_a_new_grant() {
    let new = json!({"access_token": "new", "token_type": "Bearer"});
    let (session, http, _) = scripted([answer(200, &new)]).await;
    assert_eq!(session.refresh().await.unwrap().expose(), "new");
    assert_eq!(sent(&http), ["grant_type=refresh_token"]);
}

#[tokio::test]
async fn a_refresh_token_that_is_refused_leads_to_a_new_grant() {
    let no = json!({"error": "invalid_grant"});
    let new = json!({"access_token": "new", "token_type": "Bearer"});
    let (session, http, store) = scripted([answer(400, &no), answer(200, &new)]).await;
    assert_eq!(session.refresh().await.unwrap().expose(), "new");
    let grants = ["grant_type=refresh_token", "grant_type=client_credentials"];
    assert_eq!(sent(&http), grants);
    let (record, _) = store.load(session.key()).await.unwrap().unwrap();
    assert_eq!(record.tokens.refresh_token, None);
    assert_eq!(record.tokens.access_token.expose(), "new");
}

#[tokio::test]
async fn a_refresh_that_cannot_be_answered_now_is_no_reason_for_a_new_grant() {
    let busy = || answer(503, &json!({}));
    let (session, http, _) = scripted([busy(), busy(), busy(), busy()]).await;
    let error = session.refresh().await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry);
    assert!(
        sent(&http)
            .iter()
            .all(|sent| sent == "grant_type=refresh_token")
    );
}
