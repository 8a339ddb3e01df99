//! Step 7 against the testbed: where a token goes, and what happens when it is refused (H90-H95).

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use mcp_client_oauth::{
    Authorized, Error, InteractiveSession, LoginOptions, Session, TokenSource,
    error::{AuthorizationError, HttpErrorKind},
    platform::Response,
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Peer, Testbed};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use url::Url;

use crate::support::{Person, Scene, bounded, parameter};

mod challenges;
mod streams;

const NOTES: &str = "/mcp/notes";

fn authorized(scene: &Scene, source: impl TokenSource + 'static) -> Authorized {
    Authorized::new(scene.platform.clone(), Arc::new(source))
}

async fn logged_in() -> (Scene, Session, Authorized) {
    let scene = Scene::start().await;
    let session = scene.login().await.unwrap();
    let authorized = authorized(&scene, session.clone());
    (scene, session, authorized)
}

fn notes(scene: &Scene) -> Url {
    scene.server.as_url().join(NOTES).unwrap()
}

fn asked(scene: &Scene) -> usize {
    scene.testbed.count(Peer::Mcp, "GET", NOTES)
}

async fn interactive(scene: &Scene) -> InteractiveSession {
    let options = LoginOptions::default();
    let (platform, store) = (scene.platform.clone(), scene.store.clone());
    InteractiveSession::open(platform, store, scene.server.clone(), options)
        .await
        .unwrap()
}

async fn read(authorized: &Authorized, scene: &Scene) -> Result<Response, Error> {
    bounded(Box::pin(authorized.get(notes(scene)).send())).await
}

#[tokio::test]
async fn a_request_carries_the_token_in_its_header_alone() {
    let (scene, session, authorized) = logged_in().await;
    let answer = read(&authorized, &scene).await.unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status.as_u16(), body),
        (200, json!({"notes": ["buy milk"]}))
    );
    let request = scene.last("GET", NOTES);
    let token = session.token().await.unwrap();
    assert_eq!(
        request.header("authorization").unwrap(),
        format!("Bearer {}", token.expose())
    );
    assert_eq!(request.query, None);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once_and_the_request_sent_again() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    assert_eq!((asked(&scene), scene.refreshes()), (2, 1));
}

#[tokio::test]
async fn a_token_that_is_refused_for_ever_makes_no_loop() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.set_fault(Fault::RefusesEveryToken);
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 401);
    assert!(
        asked(&scene) <= 3 && scene.refreshes() == 1,
        "{}",
        asked(&scene)
    );
}

#[tokio::test]
async fn a_challenge_without_a_header_is_healed_too() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.set_fault(Fault::NoChallenge);
    scene.testbed.revoke_access_tokens();
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_second_try_can_be_switched_off() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    let once = authorized
        .get(notes(&scene))
        .retry_on_401(false)
        .send()
        .await
        .unwrap();
    let never = authorized.clone().retry_on_401(false);
    assert_eq!(
        (
            once.status.as_u16(),
            read(&never, &scene).await.unwrap().status.as_u16()
        ),
        (401, 401)
    );
    assert_eq!((asked(&scene), scene.refreshes()), (2, 0));
}

#[tokio::test]
async fn requests_that_are_refused_at_once_cause_one_refresh() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    let tasks: JoinSet<_> = (0..50)
        .map(|_| {
            let request = authorized.get(notes(&scene));
            async move { request.send().await.unwrap().status.as_u16() }
        })
        .collect();
    assert_eq!(bounded(tasks.join_all()).await, [200; 50]);
    assert_eq!(scene.refreshes(), 1);
    assert!(scene.testbed.families()[0].alive);
}

#[tokio::test]
async fn a_token_goes_nowhere_else() {
    let (scene, _, authorized) = logged_in().await;
    let canary = Testbed::start().await.unwrap();
    let own = |path: &str| scene.server.as_url().join(path).unwrap();
    let issuer: Url = scene.testbed.issuer().parse().unwrap();
    let mut other_name = notes(&scene);
    other_name.set_host(Some("localhost")).unwrap();
    let seen = scene.testbed.requests().len();
    for url in [
        canary.server_url(),
        own("/"),
        own("/mcp2"),
        own("/mcpx/notes"),
        own("/mcp/../secret"),
        own("/mcp/%2e%2e/secret"),
        own("/MCP"),
        issuer,
        other_name,
        "https://mcp.example/mcp".parse().unwrap(),
    ] {
        let error = authorized.get(url.clone()).send().await.unwrap_err();
        let outside = matches!(
            error,
            Error::Authorization(AuthorizationError::OutsideResource { .. })
        );
        assert!(outside, "{url}: {error}");
    }
    assert_eq!(canary.requests().len(), 0);
    assert_eq!(scene.testbed.requests().len(), seen);
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let (scene, _, authorized) = logged_in().await;
    let canary = Testbed::start().await.unwrap();
    let target = canary.server_url().to_string();
    scene.testbed.set_fault(Fault::Spoil(
        Endpoint::Mcp,
        Corruption::RedirectTo(target.clone()),
    ));
    let answer = read(&authorized, &scene).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.header(header::LOCATION)),
        (307, Some(&*target))
    );
    assert_eq!(canary.requests().len(), 0);
}

#[tokio::test]
async fn headers_of_the_caller_are_kept_but_for_the_authorization() {
    let (scene, session, authorized) = logged_in().await;
    let name = HeaderName::from_static("x-trace");
    let answer = authorized
        .post(notes(&scene))
        .header(name.clone(), HeaderValue::from_static("one"))
        .header(name, HeaderValue::from_static("two"))
        .header(
            header::AUTHORIZATION,
            HeaderValue::from_static("Basic planted"),
        )
        .json(&json!({"text": "hello"}))
        .send()
        .await
        .unwrap();
    let echo: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(echo, json!({"text": "hello"}));
    let request = scene.last("POST", NOTES);
    let traces: Vec<_> = request.headers.get_all("x-trace").iter().collect();
    assert_eq!(traces, ["one", "two"]);
    let authorizations: Vec<_> = request.headers.get_all("authorization").iter().collect();
    assert_eq!(authorizations, [&session.header().await.unwrap()]);
    assert_eq!(request.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_body_is_sent_again_with_the_second_try() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    let answer = authorized
        .post(notes(&scene))
        .json(&json!([1, 2]))
        .send()
        .await
        .unwrap();
    assert_eq!(&answer.body[..], b"[1,2]");
}

#[tokio::test]
async fn a_request_ends_when_its_time_is_over() {
    let (scene, _, authorized) = logged_in().await;
    scene
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Mcp, Corruption::NeverAnswers));
    let request = authorized
        .get(notes(&scene))
        .timeout(Duration::from_millis(100));
    let Error::Http(error) = request.send().await.unwrap_err() else {
        panic!()
    };
    assert!(matches!(error.cause, HttpErrorKind::TimedOut(_)), "{error}");
}

#[tokio::test]
async fn any_http_client_can_send() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.revoke_access_tokens();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = notes(&scene);
    let answer = authorized
        .send(&Method::GET, &url, |credentials| {
            let mut headers = HeaderMap::new();
            credentials.apply(&mut headers);
            let request = client.get(url.clone()).headers(headers);
            async move { Ok(http::Response::from(request.send().await.unwrap())) }
        })
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_session_alone_asks_for_no_wider_scope() {
    let (scene, _, authorized) = logged_in().await;
    scene.testbed.require_scope("list_notes", "notes:write");
    let error = read(&authorized, &scene).await.unwrap_err();
    let Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. }) = &error else {
        panic!("{error}");
    };
    assert_eq!(scope.to_string(), "notes:read notes:write");
    assert_eq!((asked(&scene), scene.refreshes()), (1, 0));
    assert_eq!(scene.person.opened().len(), 1);
}

#[tokio::test]
async fn a_person_is_asked_for_what_was_asked_before_and_what_is_missing() {
    let scene = Scene::start().await;
    let interactive = interactive(&scene).await;
    let authorized = authorized(&scene, interactive.clone());
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    scene.testbed.require_scope("list_notes", "notes:write");
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    let [_, second] = &scene.person.opened()[..] else {
        panic!()
    };
    assert_eq!(parameter(second, "scope"), "notes:read notes:write");
    // The client was registered with less.
    assert_eq!(scene.posts("/register"), 2);
    assert_eq!(asked(&scene), 3);
}

#[tokio::test]
async fn a_server_that_never_has_enough_is_not_obeyed_for_ever() {
    let scene = Scene::start().await;
    scene.testbed.require_scope("other", "notes:admin");
    scene
        .testbed
        .set_fault(Fault::NeverEnoughScope("notes:admin".to_owned()));
    let authorized = authorized(&scene, interactive(&scene).await);
    for _ in 0..3 {
        let error = read(&authorized, &scene).await.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Authorization(AuthorizationError::ScopeNotGranted { .. })
            ),
            "{error}"
        );
    }
    assert_eq!(
        scene.person.opened().len(),
        2,
        "the first login, and one for the wider scope"
    );
}

#[tokio::test]
async fn a_person_is_asked_when_the_login_is_spent() {
    let scene = Scene::start().await;
    let authorized = authorized(&scene, interactive(&scene).await);
    read(&authorized, &scene).await.unwrap();
    scene.testbed.revoke_everything();
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    assert_eq!(scene.person.opened().len(), 2);
}

#[tokio::test]
async fn a_person_is_not_asked_because_the_server_is_busy() {
    let scene = Scene::start().await;
    let interactive = interactive(&scene).await;
    interactive.token().await.unwrap();
    scene.testbed.kill_authorization_server().await;
    let session = scene.flying_session().await.0;
    assert!(session.refresh().await.is_err());
    assert_eq!(scene.person.opened().len(), 1);
}

#[tokio::test]
async fn many_who_need_a_login_ask_the_person_once() {
    for (person, granted) in [
        (Person::who_approves(), true),
        (Person::who_denies(), false),
    ] {
        let scene = Scene::start().await.for_person(person);
        let interactive = interactive(&scene).await;
        let tasks: JoinSet<_> = (0..50)
            .map(|_| {
                let interactive = interactive.clone();
                async move { interactive.token().await.is_ok() }
            })
            .collect();
        assert_eq!(bounded(tasks.join_all()).await, [granted; 50]);
        assert_eq!(scene.person.opened().len(), 1);
    }
}

#[tokio::test]
async fn a_person_who_said_no_can_be_asked_again_later() {
    let scene = Scene::start().await.for_person(Person::who_denies());
    let interactive = interactive(&scene).await;
    interactive.token().await.unwrap_err();
    interactive.token().await.unwrap_err();
    assert_eq!(scene.person.opened().len(), 2);
}

#[tokio::test]
async fn a_wider_scope_is_kept_by_the_logins_that_follow() {
    let scene = Scene::with(Testbed::builder().issue_refresh_tokens(false)).await;
    let authorized = authorized(&scene, interactive(&scene).await);
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    scene.testbed.require_scope("list_notes", "notes:write");
    for logins in 2..6 {
        assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
        assert_eq!(scene.person.opened().len(), logins);
        let asked = parameter(scene.person.opened().last().unwrap(), "scope");
        assert_eq!(asked, "notes:read notes:write");
        scene.testbed.revoke_access_tokens();
    }
}

#[tokio::test]
async fn a_login_of_another_process_is_used_and_nobody_is_asked() {
    let scene = Scene::start().await;
    let authorized = authorized(&scene, interactive(&scene).await);
    scene.login().await.unwrap();
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    assert_eq!(scene.person.opened().len(), 1);
}
