//! Step 1 against the testbed: where metadata is looked for, in which order, and whose it may be.

use std::sync::Arc;

use mcp_client_oauth::{
    Discovery, DiscoveryOptions, DiscoverySource, Error, LoginOptions, Remedy, discover,
    error::DiscoveryError, proto::challenge::Challenge,
};
use mcp_oauth_testbed::{
    Builder, Corruption, Endpoint, Fault, Legacy, MetadataForm, Peer, PrmForm, Testbed,
};
use serde_json::{Value, json};

use crate::support::{Fixture, PRM, bounded, dead_port};

mod kept;
mod reach;
mod refused;
mod wrong_url;

const PRM_ROOT: &str = "/.well-known/oauth-protected-resource";
const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

async fn found(fixture: &Fixture) -> Result<Discovery, Error> {
    found_with(fixture, &DiscoveryOptions::default()).await
}

async fn found_with(fixture: &Fixture, options: &DiscoveryOptions) -> Result<Discovery, Error> {
    bounded(discover(&fixture.platform, &fixture.server, options)).await
}

async fn failure(fixture: &Fixture) -> DiscoveryError {
    match found(fixture).await.unwrap_err() {
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

/// A document that takes the place of another one.
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

/// Method and path of each request; the first two, which are sent at once, in alphabetical order.
fn trail(fixture: &Fixture) -> Vec<String> {
    let requests = fixture.testbed.requests();
    let mut trail: Vec<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method, request.path))
        .collect();
    let together = trail.len().min(2);
    trail[..together].sort();
    trail
}

/// Each way to publish the documents, and the places that are asked, beside the server itself.
fn places() -> Vec<(Builder, Vec<String>)> {
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
async fn metadata_is_looked_for_where_and_in_the_order_that_the_specification_says() {
    for (builder, places) in places() {
        let fixture = Fixture::with(builder).await;
        let discovery = found(&fixture).await.unwrap();
        assert_eq!(discovery.issuer().as_str(), fixture.testbed.issuer());
        assert_eq!(
            discovery.resource.as_str(),
            fixture.testbed.server_url().as_str()
        );
        let mut expected: Vec<String> = places.iter().map(|path| format!("GET {path}")).collect();
        expected.insert(1, "POST /mcp".to_owned());
        assert_eq!(trail(&fixture), expected);
    }
}

#[tokio::test]
async fn the_usual_place_is_asked_while_the_server_thinks() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::Mcp, Corruption::Held));
    let asked = async {
        fixture.testbed.arrived(Peer::Mcp, "GET", PRM, 1).await;
        assert_eq!(fixture.last("GET", PRM).status, 200);
        fixture.testbed.release();
    };
    let (discovery, ()) = bounded(async { tokio::join!(found(&fixture), asked) }).await;
    assert!(discovery.is_ok());
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", PRM), 1);
}

#[tokio::test]
async fn a_challenge_that_is_known_saves_the_question() {
    let fixture = Fixture::start().await;
    let mut challenge = Challenge::default();
    challenge.resource_metadata = Some(fixture.server.as_url().join(PRM).unwrap().to_string());
    challenge.scope = Some("notes:write".parse().unwrap());
    let mut options = DiscoveryOptions::default();
    options.challenge = Some(challenge.clone());
    let discovery = found_with(&fixture, &options).await.unwrap();
    assert_eq!(discovery.challenged_scope, challenge.scope);
    assert_eq!(
        trail(&fixture),
        [format!("GET {OAUTH}"), format!("GET {PRM}")]
    );
}

#[tokio::test]
async fn a_challenge_that_says_nothing_is_asked_for_again() {
    let fixture = Fixture::with(Testbed::builder().challenge_scope(Some("notes:write"))).await;
    let mut options = DiscoveryOptions::default();
    options.challenge = Some(Challenge::default());
    let discovery = found_with(&fixture, &options).await.unwrap();
    assert_eq!(
        discovery.challenged_scope.unwrap().to_string(),
        "notes:write"
    );
}

#[tokio::test]
async fn the_origin_may_stand_for_the_resource_and_is_sent_as_it_was_published() {
    let fixture = Fixture::start().await;
    let origin = fixture.server.as_url().origin().ascii_serialization();
    fixture
        .testbed
        .set_fault(prm_field("resource", origin.clone()));
    assert_eq!(found(&fixture).await.unwrap().resource.as_str(), origin);
}

#[tokio::test]
async fn a_web_page_where_metadata_belongs_is_passed_over() {
    let fixture = Fixture::with(Testbed::builder().prm_at(PrmForm::RootOnly)).await;
    fixture
        .testbed
        .set_fault(document(PRM, " <!doctype html><title>Hello</title>", &[]));
    fixture
        .testbed
        .set_fault(document(OAUTH, "<html></html>", &[]));
    let discovery = found(&fixture).await.unwrap();
    assert_eq!(discovery.issuer().as_str(), fixture.testbed.issuer());
    assert_eq!(
        trail(&fixture)[2..],
        [
            format!("GET {PRM_ROOT}"),
            format!("GET {OAUTH}"),
            format!("GET {OPENID}"),
        ]
    );
}

#[tokio::test]
async fn web_pages_everywhere_are_named_in_the_error() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(Fault::Spoil(Endpoint::ServerMetadata, Corruption::Html));
    let error = failure(&fixture).await;
    let DiscoveryError::NoServerMetadata { tried, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        tried.len() == 2 && tried.iter().all(|place| place.html),
        "{error}"
    );
    assert!(error.to_string().contains("a web page"), "{error}");
}

#[tokio::test]
async fn a_server_that_asks_for_no_token_is_called_unprotected() {
    let fixture = Fixture::with(Testbed::builder().open(true)).await;
    let error = failure(&fixture).await;
    let DiscoveryError::NotProtected {
        status: 200, tried, ..
    } = &error
    else {
        panic!("{error}")
    };
    let places: Vec<&str> = tried.iter().map(|place| place.url.path()).collect();
    assert_eq!(places, [PRM, PRM_ROOT]);
    assert_eq!(Error::from(error).remedy(), Remedy::Reconfigure);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_guessed_about() {
    for kind in [Legacy::Metadata, Legacy::Endpoints] {
        let fixture = Fixture::with(Testbed::builder().legacy(kind)).await;
        fixture.testbed.set_fault(Fault::NoChallenge);
        let error = failure(&fixture).await;
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
            trail(&fixture),
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
async fn a_server_of_the_year_2025_is_logged_in_to_where_that_is_asked_for() {
    for kind in [Legacy::Metadata, Legacy::Endpoints] {
        let fixture = Fixture::with(Testbed::builder().legacy(kind)).await;
        let discovery = found_with(&fixture, &legacy()).await.unwrap();
        assert_eq!(discovery.source, DiscoverySource::Legacy);
        assert_eq!(
            trail(&fixture)[2..],
            [format!("GET {PRM_ROOT}"), format!("GET {OAUTH}")]
        );
        // spec-checklist L3.
        assert_eq!(
            fixture.last("GET", OAUTH).header("mcp-protocol-version"),
            Some("2025-03-26")
        );

        let mut options = LoginOptions::default();
        options.discovery = legacy();
        assert!(fixture.login_with(&options).await.is_ok(), "{kind:?}");
    }
}

#[tokio::test]
async fn a_dead_authorization_server_is_passed_over() {
    let without = Arc::new(Testbed::builder().without_metadata().start().await.unwrap());
    let refused = format!("http://127.0.0.1:{}", dead_port());
    for dead in [refused, without.issuer()] {
        let fixture = Fixture::start().await;
        let issuer = fixture.testbed.issuer();
        fixture
            .testbed
            .set_fault(prm_field("authorization_servers", json!([dead, issuer])));
        assert_eq!(found(&fixture).await.unwrap().issuer().as_str(), issuer);
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
        let discovery = found(&fixture).await.unwrap();
        assert_eq!(discovery.source, DiscoverySource::Metadata(url.clone()));
        assert_eq!(discovery.challenged_scope.unwrap().to_string(), "x");
    }
}
