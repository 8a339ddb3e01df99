//! What is a challenge, and what is none (spec-checklist A9, G5, G6).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use http::{Method, header};
use mcp_client_oauth::{
    Authorized, Error, InteractiveSession, LoginOptions, TokenSource, error::AuthorizationError,
    proto::challenge::Challenge,
};
use mcp_oauth_testbed::{Fault, Peer, Testbed};

use super::{NOTES, asked, authorized, interactive, logged_in, read};
use crate::support::{Scene, bounded, parameter};

/// A server that never has enough, and asks for it with this header.
async fn never_enough(line: &str) -> (Scene, Authorized) {
    let scene = Scene::start().await;
    let source = interactive(&scene).await;
    source.token().await.unwrap();
    scene.testbed.require_scope("list_notes", "notes:admin");
    scene
        .testbed
        .set_fault(Fault::Challenge(vec![line.to_owned()]));
    let authorized = authorized(&scene, source);
    (scene, authorized)
}

#[tokio::test]
async fn an_answer_that_is_no_challenge_is_handed_on() {
    let (scene, _, authorized) = logged_in().await;
    let bearer = "Bearer error=\"invalid_token\", scope=\"notes:admin\"";
    for (status, line) in [
        (400, "Bearer error=\"invalid_request\""),
        (403, bearer),
        (403, "Basic error=\"insufficient_scope\""),
        (404, bearer),
        (410, bearer),
        (500, "Bearer error=\"insufficient_scope\""),
    ] {
        scene.testbed.clear_faults();
        scene.testbed.set_fault(Fault::Status {
            path: NOTES.to_owned(),
            status,
            body: String::new(),
            headers: vec![("www-authenticate".to_owned(), line.to_owned())],
            times: None,
        });
        let before = asked(&scene);
        let answer = read(&authorized, &scene).await.unwrap();
        assert_eq!(answer.status, status, "{line}");
        assert_eq!(asked(&scene), before + 1, "{status} {line}");
    }
    assert_eq!((scene.refreshes(), scene.person.opened().len()), (0, 1));
}

#[tokio::test]
async fn a_scope_that_is_too_small_and_not_named_asks_nobody() {
    for line in [
        "Bearer error=\"insufficient_scope\"",
        "Bearer error=\"insufficient_scope\", scope=\"\"",
    ] {
        let (scene, authorized) = never_enough(line).await;
        for _ in 0..3 {
            let error = read(&authorized, &scene).await.unwrap_err();
            let Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. }) = &error
            else {
                panic!("{line}: {error}");
            };
            assert_eq!(scope.to_string(), "notes:read");
        }
        assert_eq!(asked(&scene), 3, "each was sent once");
        assert_eq!((scene.refreshes(), scene.person.opened().len()), (0, 1));
    }
}

#[tokio::test]
async fn a_server_that_asks_for_another_scope_each_time_is_left_after_a_few() {
    let known = vec![
        "notes:read",
        "more:0",
        "more:1",
        "more:2",
        "more:3",
        "more:4",
    ];
    let builder = Testbed::builder().scopes_supported(Some(known));
    let scene = Scene::with(builder.challenge_scope(Some("notes:read"))).await;
    let authorized = authorized(&scene, interactive(&scene).await);
    let sent = AtomicUsize::new(0);
    let answer = authorized.send(&Method::GET, scene.server.as_url(), |_| {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        let line = format!("Bearer error=\"insufficient_scope\", scope=\"more:{number}\"");
        async move {
            Ok(http::Response::builder()
                .status(403)
                .header(header::WWW_AUTHENTICATE, line)
                .body(())
                .unwrap())
        }
    });
    assert_eq!(bounded(answer).await.unwrap().status(), 403);
    assert_eq!(sent.into_inner(), 4);
    // The first login, and one for each wider scope.
    assert_eq!(scene.person.opened().len(), 4);
}

#[tokio::test]
async fn a_challenge_that_the_caller_brings_is_that_of_the_first_login() {
    let scene = Scene::with(Testbed::builder().scopes_supported(Some(vec!["notes:read"]))).await;
    let mut challenge = Challenge::default();
    challenge.scope = Some("notes:write".parse().unwrap());
    let mut options = LoginOptions::default();
    options.discovery.challenge = Some(challenge);
    let (platform, store) = (scene.platform.clone(), scene.store.clone());
    let server = scene.server.clone();
    let source = InteractiveSession::open(platform, store, server, options)
        .await
        .unwrap();

    bounded(source.token()).await.unwrap();
    assert_eq!(parameter(&scene.person.opened()[0], "scope"), "notes:write");
    let questions = scene.testbed.count(Peer::Mcp, "POST", "/mcp");
    assert_eq!(questions, 0, "the challenge was known");

    scene.testbed.revoke_everything();
    let authorized = Authorized::new(scene.platform.clone(), Arc::new(source));
    assert_eq!(read(&authorized, &scene).await.unwrap().status, 200);
    assert_eq!(scene.person.opened().len(), 2);
}
