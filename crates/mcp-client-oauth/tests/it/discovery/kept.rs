//! What was discovered is used again as long as the servers say that it may be (H21-H23).

use std::time::Duration;

use mcp_client_oauth::{LoginOptions, proto::challenge::Challenge};
use mcp_oauth_testbed::Peer;

use super::{OAUTH, document};
use crate::support::{Fixture, PRM};

/// What the two documents say, kept for an hour by the servers' own word.
async fn documents_that_may_be_kept(fixture: &Fixture) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metadata = format!("{}{OAUTH}", fixture.testbed.issuer());
    let prm = fixture.server.as_url().join(PRM).unwrap().to_string();
    for (url, path) in [(metadata, OAUTH), (prm, PRM)] {
        let body = client.get(url).send().await.unwrap().text().await.unwrap();
        fixture
            .testbed
            .set_fault(document(path, &body, &[("cache-control", "max-age=3600")]));
    }
    fixture.testbed.forget_requests();
}

fn questions(fixture: &Fixture) -> usize {
    let requests = fixture.testbed.requests();
    let asked = |path: &str| path.starts_with("/.well-known") || path == "/mcp";
    requests
        .iter()
        .filter(|request| asked(&request.path))
        .count()
}

#[tokio::test]
async fn what_may_be_kept_is_not_asked_for_again() {
    let fixture = Fixture::start().await;
    documents_that_may_be_kept(&fixture).await;
    fixture.login().await.unwrap();
    assert_eq!(questions(&fixture), 3);
    fixture.pass(Duration::from_secs(3599));
    fixture.login().await.unwrap();
    assert_eq!(questions(&fixture), 3, "it was fresh");
    fixture.pass(Duration::from_secs(1));
    fixture.login().await.unwrap();
    assert_eq!(questions(&fixture), 6, "it was stale");
}

#[tokio::test]
async fn what_says_nothing_of_keeping_is_asked_for_again() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    assert_eq!(questions(&fixture), 6);
}

#[tokio::test]
async fn a_challenge_that_contradicts_what_was_kept_throws_it_away() {
    let fixture = Fixture::start().await;
    documents_that_may_be_kept(&fixture).await;
    fixture.login().await.unwrap();
    let asked = questions(&fixture);

    let mut options = LoginOptions::default();
    let mut challenge = Challenge::default();
    challenge.resource_metadata = Some(fixture.server.as_url().join(PRM).unwrap().to_string());
    options.discovery.challenge = Some(challenge.clone());
    fixture.login_with(&options).await.unwrap();
    assert_eq!(questions(&fixture), asked, "it says the same");

    challenge.resource_metadata = Some(
        fixture
            .server
            .as_url()
            .join("/elsewhere")
            .unwrap()
            .to_string(),
    );
    options.discovery.challenge = Some(challenge);
    fixture.login_with(&options).await.unwrap();
    assert!(questions(&fixture) > asked, "it says something else");
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", "/elsewhere"), 1);
}
