//! What was discovered is used again as long as the servers say that it may be (H21-H23).

use std::time::Duration;

use mcp_client_oauth::{LoginOptions, proto::challenge::Challenge};
use mcp_oauth_testbed::Peer;

use super::{OAUTH, document};
use crate::support::{PRM, Scene};

/// What the two documents say, kept for an hour by the servers' own word.
async fn documents_that_may_be_kept(scene: &Scene) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metadata = format!("{}{OAUTH}", scene.testbed.issuer());
    let prm = scene.server.as_url().join(PRM).unwrap().to_string();
    for (url, path) in [(metadata, OAUTH), (prm, PRM)] {
        let body = client.get(url).send().await.unwrap().text().await.unwrap();
        scene
            .testbed
            .set_fault(document(path, &body, &[("cache-control", "max-age=3600")]));
    }
    scene.testbed.forget_requests();
}

fn questions(scene: &Scene) -> usize {
    let requests = scene.testbed.requests();
    let asked = |path: &str| path.starts_with("/.well-known") || path == "/mcp";
    requests
        .iter()
        .filter(|request| asked(&request.path))
        .count()
}

#[tokio::test]
async fn what_may_be_kept_is_not_asked_for_again() {
    let scene = Scene::start().await;
    documents_that_may_be_kept(&scene).await;
    scene.login().await.unwrap();
    assert_eq!(questions(&scene), 3);
    scene.pass(Duration::from_secs(3599));
    scene.login().await.unwrap();
    assert_eq!(questions(&scene), 3, "it was fresh");
    scene.pass(Duration::from_secs(1));
    scene.login().await.unwrap();
    assert_eq!(questions(&scene), 6, "it was stale");
}

#[tokio::test]
async fn what_says_nothing_of_keeping_is_asked_for_again() {
    let scene = Scene::start().await;
    scene.login().await.unwrap();
    scene.login().await.unwrap();
    assert_eq!(questions(&scene), 6);
}

#[tokio::test]
async fn a_challenge_that_contradicts_what_was_kept_throws_it_away() {
    let scene = Scene::start().await;
    documents_that_may_be_kept(&scene).await;
    scene.login().await.unwrap();
    let asked = questions(&scene);

    let mut options = LoginOptions::default();
    let mut challenge = Challenge::default();
    challenge.resource_metadata = Some(scene.server.as_url().join(PRM).unwrap().to_string());
    options.discovery.challenge = Some(challenge.clone());
    scene.login_with(&options).await.unwrap();
    assert_eq!(questions(&scene), asked, "it says the same");

    challenge.resource_metadata = Some(
        scene
            .server
            .as_url()
            .join("/elsewhere")
            .unwrap()
            .to_string(),
    );
    options.discovery.challenge = Some(challenge);
    scene.login_with(&options).await.unwrap();
    assert!(questions(&scene) > asked, "it says something else");
    assert_eq!(scene.testbed.count(Peer::Mcp, "GET", "/elsewhere"), 1);
}
