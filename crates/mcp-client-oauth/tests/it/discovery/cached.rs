//! Discovered metadata is reused for as long as the servers allow it (RFC 9111 §5.2).

use std::time::Duration;

use mcp_client_oauth::flow::Challenge;
use mcp_oauth_testbed::Peer;

use super::{OAUTH, document};
use crate::support::{Fixture, PRM};

/// Makes the two documents cacheable for an hour.
async fn cacheable_documents(fixture: &Fixture) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metadata = format!("{}{OAUTH}", fixture.testbed.issuer());
    let prm = fixture.server.as_url().join(PRM).unwrap().to_string();
    for (url, path) in [(metadata, OAUTH), (prm, PRM)] {
        let body = client.get(url).send().await.unwrap().text().await.unwrap();
        fixture
            .testbed
            .set_fault(document(path, &body, &[("cache-control", "max-age=3600")]));
    }
    fixture.testbed.clear_requests();
}

fn metadata_requests(fixture: &Fixture) -> usize {
    let requests = fixture.testbed.requests();
    let before = |path: &str| path.starts_with("/.well-known") || path == "/mcp";
    requests
        .iter()
        .filter(|request| before(&request.path))
        .count()
}

#[tokio::test]
async fn cacheable_metadata_is_not_requested_again() {
    let fixture = Fixture::start().await;
    cacheable_documents(&fixture).await;
    fixture.login().await.unwrap();
    assert_eq!(metadata_requests(&fixture), 3);
    fixture.advance(Duration::from_secs(3599));
    fixture.login().await.unwrap();
    assert_eq!(metadata_requests(&fixture), 3, "it was fresh");
    fixture.advance(Duration::from_secs(1));
    fixture.login().await.unwrap();
    assert_eq!(metadata_requests(&fixture), 6, "it was stale");
}

#[tokio::test]
async fn metadata_without_cache_headers_is_requested_again() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    fixture.login().await.unwrap();
    assert_eq!(metadata_requests(&fixture), 6);
}

#[tokio::test]
async fn a_challenge_that_contradicts_cached_metadata_discards_it() {
    let fixture = Fixture::start().await;
    cacheable_documents(&fixture).await;
    fixture.login().await.unwrap();
    let before = metadata_requests(&fixture);

    let mut challenge = Challenge::default();
    challenge.resource_metadata = Some(fixture.server.as_url().join(PRM).unwrap().to_string());
    let login = fixture.login_with(|login| login.challenge(challenge.clone()));
    login.await.unwrap();
    assert_eq!(
        metadata_requests(&fixture),
        before,
        "the challenge agrees with the metadata"
    );

    challenge.resource_metadata = Some(
        fixture
            .server
            .as_url()
            .join("/elsewhere")
            .unwrap()
            .to_string(),
    );
    let login = fixture.login_with(|login| login.challenge(challenge));
    login.await.unwrap();
    assert!(
        metadata_requests(&fixture) > before,
        "the challenge contradicts the metadata"
    );
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", "/elsewhere"), 1);
}
