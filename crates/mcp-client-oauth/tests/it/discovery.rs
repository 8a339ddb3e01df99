//! Step 1 against the testbed: where metadata is requested, in which order, and which is accepted.

use std::sync::Arc;

use mcp_client_oauth::{
    Error, Login, Remedy,
    error::DiscoveryError,
    flow::{Challenge, Discovery, DiscoveryOptions, DiscoverySource, discover},
};
use mcp_oauth_testbed::{
    Builder, Corruption, Endpoint, Fault, Legacy, MetadataForm, Peer, PrmForm, Testbed,
};
use serde_json::{Value, json};

use crate::support::{Fixture, PRM, bounded, unused_port};

mod address_policy;
mod cached;
mod refused;
mod wrong_url;

const PRM_ROOT: &str = "/.well-known/oauth-protected-resource";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

async fn run_discovery(fixture: &Fixture) -> Result<Discovery, Error> {
    run_discovery_with(fixture, &DiscoveryOptions::default()).await
}

async fn run_discovery_with(
    fixture: &Fixture,
    options: &DiscoveryOptions,
) -> Result<Discovery, Error> {
    bounded(discover(&fixture.platform, &fixture.server, options)).await
}

async fn discovery_error(fixture: &Fixture) -> DiscoveryError {
    match run_discovery(fixture).await.unwrap_err() {
        Error::Discovery(cause) => cause,
        other => panic!("{other}"),
    }
}

fn legacy() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::default();
    options.legacy = true;
    options
}

fn prm_field(name: &str, value: impl Into<Value>) -> Fault {
    Fault::PrmField(name.to_owned(), value.into())
}

/// Replaces the document at a path.
fn document(path: &str, body: &str, headers: &[(&str, &str)]) -> Fault {
    let headers = headers
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    Fault::Status {
        path: path.to_owned(),
        status: 200,
        body: body.to_owned(),
        headers,
        times: None,
    }
}

/// Returns method and path of each request. The first two are concurrent and therefore sorted.
fn requested_urls(fixture: &Fixture) -> Vec<String> {
    let requests = fixture.testbed.requests();
    let mut trail: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    let together = trail.len().min(2);
    trail[..together].sort();
    trail
}

/// Returns each way to publish the documents, with the paths that are requested beside the server.
fn cases() -> Vec<(Builder, Vec<String>)> {
    use MetadataForm::{OAuth, OpenIdAppended, OpenIdInserted};
    let tenant = |form| Testbed::builder().issuer_path("/t1").metadata_at(form);
    let path_first = |rest: &[&str]| {
        let first = [PRM.to_owned()].into_iter();
        first
            .chain(rest.iter().map(|path| (*path).to_owned()))
            .collect()
    };
    let custom = PrmForm::Custom("/custom/metadata.json".to_owned());
    let (oauth, inserted) = (&format!("{OAUTH}/t1"), &format!("{OPENID}/t1"));
    let appended = &format!("/t1{OPENID}");
    vec![
        (Testbed::builder(), path_first(&[OAUTH])),
        (
            Testbed::builder().prm_at(PrmForm::PathOnly),
            path_first(&[OAUTH]),
        ),
        (
            Testbed::builder().prm_at(PrmForm::RootOnly),
            path_first(&[PRM_ROOT, OAUTH]),
        ),
        (
            Testbed::builder().prm_at(custom),
            path_first(&["/custom/metadata.json", OAUTH]),
        ),
        (
            Testbed::builder().metadata_at(OpenIdAppended),
            path_first(&[OAUTH, OPENID]),
        ),
        (tenant(OAuth), path_first(&[oauth])),
        (tenant(OpenIdInserted), path_first(&[oauth, inserted])),
        (
            tenant(OpenIdAppended),
            path_first(&[oauth, inserted, appended]),
        ),
    ]
}

#[tokio::test]
async fn metadata_urls_are_tried_in_the_order_of_the_specification() {
    for (builder, paths) in cases() {
        let fixture = Fixture::with(builder).await;
        let discovery = run_discovery(&fixture).await.unwrap();
        assert_eq!(discovery.issuer().as_str(), fixture.testbed.issuer());
        assert_eq!(
            discovery.resource.as_str(),
            fixture.testbed.server_url().as_str()
        );
        let mut expected: Vec<String> = paths.iter().map(|path| format!("GET {path}")).collect();
        expected.insert(1, "POST /mcp".to_owned());
        assert_eq!(requested_urls(&fixture), expected);
    }
}

#[tokio::test]
async fn the_well_known_url_is_requested_while_the_server_is_slow() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::Mcp, Corruption::Held));
    let asked = async {
        fixture
            .testbed
            .wait_for_requests(Peer::Mcp, "GET", PRM, 1)
            .await;
        assert_eq!(fixture.last("GET", PRM).status, 200);
        fixture.testbed.release();
    };
    let (discovery, ()) = bounded(async { tokio::join!(run_discovery(&fixture), asked) }).await;
    assert!(discovery.is_ok());
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", PRM), 1);
}

#[tokio::test]
async fn a_known_challenge_saves_the_unauthenticated_request() {
    let fixture = Fixture::start().await;
    let mut challenge = Challenge::default();
    challenge.resource_metadata = Some(fixture.server.as_url().join(PRM).unwrap().to_string());
    challenge.scope = Some("notes:write".parse().unwrap());
    let mut options = DiscoveryOptions::default();
    options.challenge = Some(challenge.clone());
    let discovery = run_discovery_with(&fixture, &options).await.unwrap();
    assert_eq!(discovery.challenged_scope, challenge.scope);
    assert_eq!(
        requested_urls(&fixture),
        [format!("GET {OAUTH}"), format!("GET {PRM}")]
    );
}

#[tokio::test]
async fn an_empty_challenge_is_requested_again() {
    let fixture = Fixture::with(Testbed::builder().challenge_scope(Some("notes:write"))).await;
    let mut options = DiscoveryOptions::default();
    options.challenge = Some(Challenge::default());
    let discovery = run_discovery_with(&fixture, &options).await.unwrap();
    assert_eq!(
        discovery.challenged_scope.unwrap().to_string(),
        "notes:write"
    );
}

#[tokio::test]
async fn the_origin_is_accepted_as_the_resource_and_sent_as_published() {
    let fixture = Fixture::start().await;
    let origin = fixture.server.as_url().origin().ascii_serialization();
    fixture
        .testbed
        .set_fault(prm_field("resource", origin.clone()));
    assert_eq!(
        run_discovery(&fixture).await.unwrap().resource.as_str(),
        origin
    );
}

#[tokio::test]
async fn an_html_page_at_a_metadata_url_is_skipped() {
    let fixture = Fixture::with(Testbed::builder().prm_at(PrmForm::RootOnly)).await;
    fixture
        .testbed
        .set_fault(document(PRM, " <!doctype html><title>Hello</title>", &[]));
    fixture
        .testbed
        .set_fault(document(OAUTH, "<html></html>", &[]));
    let discovery = run_discovery(&fixture).await.unwrap();
    assert_eq!(discovery.issuer().as_str(), fixture.testbed.issuer());
    assert_eq!(
        requested_urls(&fixture)[2..],
        [
            format!("GET {PRM_ROOT}"),
            format!("GET {OAUTH}"),
            format!("GET {OPENID}"),
        ]
    );
}

#[tokio::test]
async fn html_pages_at_every_metadata_url_are_named_in_the_error() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Corrupt(Endpoint::ServerMetadata, Corruption::Html));
    let error = discovery_error(&fixture).await;
    let DiscoveryError::NoServerMetadata { tried, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        tried.len() == 2 && tried.iter().all(|document| document.html),
        "{error}"
    );
    assert!(error.to_string().contains("a web page"), "{error}");
}

#[tokio::test]
async fn a_server_that_requires_no_token_is_reported_as_unprotected() {
    let fixture = Fixture::with(Testbed::builder().unprotected(true)).await;
    let error = discovery_error(&fixture).await;
    let DiscoveryError::NotProtected {
        status: 200, tried, ..
    } = &error
    else {
        panic!("{error}")
    };
    let paths: Vec<&str> = tried.iter().map(|document| document.url.path()).collect();
    assert_eq!(paths, [PRM, PRM_ROOT]);
    assert_eq!(Error::from(error).remedy(), Remedy::Reconfigure);
}

#[tokio::test]
async fn without_metadata_no_endpoint_is_guessed() {
    for kind in [Legacy::Metadata, Legacy::Endpoints] {
        let fixture = Fixture::with(Testbed::builder().legacy(kind)).await;
        fixture.testbed.set_fault(Fault::NoChallenge);
        let error = discovery_error(&fixture).await;
        let is_named = match (kind, &error) {
            (Legacy::Metadata, DiscoveryError::LegacyMetadata { issuer, .. }) => {
                issuer.as_str() == fixture.testbed.issuer()
            }
            (_, DiscoveryError::NoResourceMetadata { status: 401, .. }) => {
                kind == Legacy::Endpoints
            }
            _ => false,
        };
        assert!(is_named, "{error}");
        assert_eq!(
            requested_urls(&fixture),
            [
                format!("GET {PRM}"),
                "POST /mcp".to_owned(),
                format!("GET {PRM_ROOT}"),
                format!("GET {OAUTH}"),
            ]
        );
        fixture.assert_nothing_was_sent();
    }
}

#[tokio::test]
async fn the_legacy_option_logs_in_to_a_server_of_2025() {
    for kind in [Legacy::Metadata, Legacy::Endpoints] {
        let fixture = Fixture::with(Testbed::builder().legacy(kind)).await;
        let discovery = run_discovery_with(&fixture, &legacy()).await.unwrap();
        assert_eq!(discovery.source, DiscoverySource::Legacy);
        assert_eq!(
            requested_urls(&fixture)[2..],
            [format!("GET {PRM_ROOT}"), format!("GET {OAUTH}")]
        );
        // MCP authorization 2025-03-26, "Fallbacks for Servers without Metadata Discovery".
        assert_eq!(
            fixture.last("GET", OAUTH).header("mcp-protocol-version"),
            Some("2025-03-26")
        );

        let login = fixture.login_with(Login::legacy).await;
        assert!(login.is_ok(), "{kind:?}");
    }
}

#[tokio::test]
async fn an_unreachable_authorization_server_is_skipped() {
    let without = Arc::new(Testbed::builder().without_metadata().start().await.unwrap());
    let refused = format!("http://127.0.0.1:{}", unused_port());
    for dead in [refused, without.issuer()] {
        let fixture = Fixture::start().await;
        let issuer = fixture.testbed.issuer();
        fixture
            .testbed
            .set_fault(prm_field("authorization_servers", json!([dead, issuer])));
        assert_eq!(
            run_discovery(&fixture).await.unwrap().issuer().as_str(),
            issuer
        );
    }
}

#[tokio::test]
async fn the_bearer_challenge_is_found_among_others() {
    let fixture =
        Fixture::with(Testbed::builder().prm_at(PrmForm::Custom("/meta".to_owned()))).await;
    let url = fixture.server.as_url().join("/meta").unwrap();
    let bearer = format!("Bearer realm=\"a, b\", resource_metadata=\"{url}\", scope=\"x\"");
    for lines in [
        vec![format!("Basic realm=\"x\", {bearer}")],
        vec!["Negotiate abc==".to_owned(), bearer.clone()],
        vec![format!("Digest nonce=\"Bearer scope=y\", {bearer}")],
    ] {
        fixture.testbed.clear_faults();
        fixture.testbed.set_fault(Fault::Challenge(lines));
        let discovery = run_discovery(&fixture).await.unwrap();
        assert_eq!(discovery.source, DiscoverySource::Metadata(url.clone()));
        assert_eq!(discovery.challenged_scope.unwrap().to_string(), "x");
    }
}
