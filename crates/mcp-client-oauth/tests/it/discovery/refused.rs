//! Metadata that discovery rejects, and URLs that it does not request (RFC 8414 §3.3, RFC 9728 §3.3,
//! MCP security best practices).

use std::time::Duration;

use mcp_client_oauth::{
    Error, Login, Remedy,
    error::{DiscoveryError, HttpErrorKind, ResourceMetadataError, ServerMetadataError},
    flow::{DiscoveryOptions, discover},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Legacy, Peer, Testbed};
use serde_json::json;

use super::{OPENID, discovery_error, prm_field, run_discovery};
use crate::support::{Fixture, PRM, ShortTimeout, bounded};

#[tokio::test]
async fn metadata_of_another_issuer_is_rejected_and_its_endpoints_get_no_request() {
    for fault in [
        Fault::WrongIssuer("https://honest.example".to_owned()),
        Fault::IssuerWithTrailingSlash,
        Fault::MissingIssuer,
        Fault::Corrupt(
            Endpoint::ServerMetadata,
            Corruption::DuplicateKey(
                "token_endpoint".to_owned(),
                json!("http://127.0.0.1:1/token"),
            ),
        ),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault.clone());
        let error = fixture.login().await.unwrap_err();
        let Error::Discovery(DiscoveryError::ServerMetadata { cause, .. }) = &error else {
            panic!("{fault:?}: {error}");
        };
        let lies = matches!(
            fault,
            Fault::WrongIssuer(_) | Fault::IssuerWithTrailingSlash
        );
        assert_eq!(
            matches!(cause, ServerMetadataError::IssuerMismatch { .. }),
            lies,
            "{cause}"
        );
        assert!(
            !lies || error.to_string().contains(&fixture.testbed.issuer()),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        fixture.assert_nothing_was_sent();
        // After an issuer mismatch, the OpenID document of the same issuer is not tried.
        assert_eq!(
            fixture
                .testbed
                .count(Peer::AuthorizationServer, "GET", OPENID),
            0
        );
    }
}

#[tokio::test]
async fn metadata_of_another_resource_is_rejected() {
    let fixture = Fixture::start().await;
    let server = fixture.server.as_str().to_owned();
    for resource in [
        json!("https://evil.example/mcp"),
        json!(format!("{server}/deeper")),
        json!(&server[..server.len() - 1]),
        json!(format!("{server}#fragment")),
        json!("/mcp"),
        json!(""),
        json!(null),
    ] {
        fixture.testbed.clear_faults();
        fixture
            .testbed
            .set_fault(prm_field("resource", resource.clone()));
        let error = fixture.login().await.unwrap_err();
        let Error::Discovery(DiscoveryError::ResourceMetadata { cause, .. }) = error else {
            panic!("{resource}: {error}");
        };
        let unreadable = matches!(cause, ResourceMetadataError::Unreadable(_));
        assert_eq!(unreadable, resource.is_null(), "{resource}: {cause}");
        fixture.assert_nothing_was_sent();
    }
}

#[tokio::test]
async fn invalid_metadata_is_a_typed_error_before_the_browser_opens() {
    let raw = |body: &[u8]| Corruption::Raw {
        content_type: "application/json".to_owned(),
        body: body.to_vec(),
    };
    let deep = "[".repeat(100_000);
    for corruption in [
        Corruption::Null,
        Corruption::Empty,
        Corruption::Truncated,
        raw(b"[]"),
        raw(b"\xef\xbb\xbf{}"),
        raw(b"{\0}"),
        raw(b"\xff\xfe{\0}\0"),
        raw(b"{\"issuer\": 1e400}"),
        raw(b"{\"issuer\": \"\\ud800\", \"resource\": \"\\ud800\"}"),
        raw(deep.as_bytes()),
    ] {
        for endpoint in [Endpoint::ResourceMetadata, Endpoint::ServerMetadata] {
            let fixture = Fixture::start().await;
            fixture
                .testbed
                .set_fault(Fault::Corrupt(endpoint, corruption.clone()));
            let error = fixture.login().await.unwrap_err();
            let typed = matches!(
                error,
                Error::Discovery(
                    DiscoveryError::ResourceMetadata {
                        cause: ResourceMetadataError::Unreadable(_),
                        ..
                    } | DiscoveryError::ServerMetadata {
                        cause: ServerMetadataError::Unreadable(_),
                        ..
                    }
                )
            );
            assert!(typed, "{endpoint:?}: {error}");
            fixture.assert_nothing_was_sent();
        }
    }
}

#[tokio::test]
async fn an_oversized_document_is_not_read_to_its_end() {
    for endpoint in [Endpoint::ResourceMetadata, Endpoint::ServerMetadata] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::Corrupt(endpoint, Corruption::TooLarge));
        let error = run_discovery(&fixture).await.unwrap_err();
        let Error::Http(http) = &error else {
            panic!("{error}")
        };
        assert!(matches!(http.cause, HttpErrorKind::TooLarge(_)), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_responds_times_out() {
    let slow = Corruption::Trickle(Duration::from_millis(50));
    for corruption in [Corruption::NeverResponds, slow] {
        for endpoint in [
            Endpoint::Mcp,
            Endpoint::ResourceMetadata,
            Endpoint::ServerMetadata,
        ] {
            if endpoint == Endpoint::Mcp && corruption != Corruption::NeverResponds {
                continue; // Only the head of that response is read.
            }
            let fixture = Fixture::start().await;
            fixture
                .testbed
                .set_fault(Fault::Corrupt(endpoint, corruption.clone()));
            let platform = ShortTimeout::platform(Duration::from_millis(150), &fixture);
            let options = DiscoveryOptions::default();
            let error = bounded(discover(&platform, &fixture.server, &options))
                .await
                .unwrap_err();
            let Error::Http(http) = &error else {
                panic!("{endpoint:?}: {error}")
            };
            assert!(matches!(http.cause, HttpErrorKind::TimedOut(_)), "{error}");
            assert_eq!(error.remedy(), Remedy::Retry);
            // A document that was requested early is not requested again.
            assert!(fixture.testbed.count(Peer::Mcp, "GET", PRM) <= 1);
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_only_within_its_origin() {
    let elsewhere = Fixture::start().await;
    for endpoint in [Endpoint::ResourceMetadata, Endpoint::ServerMetadata] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::Corrupt(endpoint, Corruption::RedirectOnce));
        assert!(run_discovery(&fixture).await.is_ok(), "{endpoint:?}");

        let away = elsewhere.server.as_url().join(PRM).unwrap().to_string();
        for target in [
            away.as_str(),
            "file:///etc/passwd",
            "http://169.254.169.254/x",
            "",
        ] {
            fixture.testbed.clear_faults();
            let corruption = Corruption::RedirectTo(target.to_owned());
            fixture
                .testbed
                .set_fault(Fault::Corrupt(endpoint, corruption));
            let error = discovery_error(&fixture).await;
            if target.is_empty() {
                let is_refused = matches!(error, DiscoveryError::Redirect { .. });
                assert!(is_refused, "{error}");
                continue;
            }
            // The other URLs are still tried, and have no document.
            let (DiscoveryError::NoResourceMetadata { tried, .. }
            | DiscoveryError::NoServerMetadata { tried, .. }) = &error
            else {
                panic!("{target}: {error}");
            };
            let named = tried.iter().find_map(|tried| tried.redirect.as_ref());
            assert_eq!(named.unwrap().as_raw(), target);
        }
    }
    assert_eq!(elsewhere.testbed.requests().len(), 0);
}

#[tokio::test]
async fn an_endless_redirect_is_an_error() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::Corrupt(
        Endpoint::ResourceMetadata,
        Corruption::RedirectLoop,
    ));
    let error = discovery_error(&fixture).await;
    assert!(
        matches!(error, DiscoveryError::Redirect { most: 3, .. }),
        "{error}"
    );
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", PRM), 4);
}

#[tokio::test]
async fn a_2025_server_with_metadata_must_list_pkce() {
    let fixture = Fixture::with(Testbed::builder().legacy(Legacy::Metadata)).await;
    fixture.testbed.set_fault(Fault::OnlyPlainPkce);
    let error = fixture.login_with(Login::legacy).await.unwrap_err();
    assert!(
        matches!(error, Error::Discovery(DiscoveryError::PkceUnsupported(_))),
        "{error}"
    );
    assert_eq!(fixture.user.opened_urls(), []);
}

#[tokio::test]
async fn an_issuer_mismatch_ends_discovery_without_trying_the_next_server() {
    let dishonest = Testbed::start().await.unwrap();
    dishonest.set_fault(Fault::WrongIssuer("https://honest.example".to_owned()));
    let fixture = Fixture::start().await;
    let both = json!([dishonest.issuer(), fixture.testbed.issuer()]);
    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", both));
    let error = discovery_error(&fixture).await.to_string();
    assert!(
        error.contains(&dishonest.issuer()) && error.contains("honest.example"),
        "{error}"
    );
}

#[tokio::test]
async fn of_a_thousand_authorization_servers_only_a_few_are_tried() {
    let canary = Testbed::builder().without_metadata().start().await.unwrap();
    let many: Vec<String> = (0..1000)
        .map(|n| format!("{}/{n}", canary.issuer()))
        .collect();
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", json!(many)));
    assert!(run_discovery(&fixture).await.is_err());
    assert!(canary.requests().len() <= 16, "{}", canary.requests().len());

    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", json!([])));
    let error = discovery_error(&fixture).await;
    assert!(
        matches!(error, DiscoveryError::NoAuthorizationServer(_)),
        "{error}"
    );
}

#[tokio::test]
async fn without_s256_the_browser_is_not_opened() {
    for (fault, says) in [
        (Fault::NoPkceMethods, "does not say that it supports PKCE"),
        (Fault::OnlyPlainPkce, "supports other methods of PKCE"),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        let error = fixture.login().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        assert_eq!(fixture.user.opened_urls(), []);
        assert_eq!(fixture.posts("/token"), 0);
        fixture.assert_nothing_is_stored().await;
    }
}

#[tokio::test]
async fn one_unsafe_endpoint_invalidates_the_metadata() {
    for member in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "device_authorization_endpoint",
    ] {
        for bad in [
            "http://as.example/x",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "file:///etc/passwd",
            "https://accounts.google.com@evil.example/",
            "/relative",
        ] {
            let fixture = Fixture::start().await;
            fixture
                .testbed
                .set_fault(Fault::MetadataField(member.to_owned(), bad.into()));
            let error = fixture.login().await.unwrap_err();
            let Error::Discovery(DiscoveryError::ServerMetadata { cause, .. }) = &error else {
                panic!("{member} {bad}: {error}");
            };
            let named = matches!(
                cause, ServerMetadataError::UnsafeEndpoint { member: found, .. } if *found == member
            );
            assert!(named, "{member} {bad}: {cause}");
            fixture.assert_nothing_was_sent();
        }
    }
}

#[tokio::test]
async fn an_unsafe_metadata_url_is_not_requested() {
    let fixture = Fixture::start().await;
    for bad in [
        "http://as.example",
        "javascript:alert(1)",
        "https://u@as.example",
        "as.example",
    ] {
        fixture.testbed.clear_faults();
        fixture
            .testbed
            .set_fault(prm_field("authorization_servers", json!([bad])));
        let error = discovery_error(&fixture).await;
        assert!(
            matches!(error, DiscoveryError::Unsafe { .. }),
            "{bad}: {error}"
        );

        fixture.testbed.clear_faults();
        let line = format!("Bearer resource_metadata=\"{bad}\"");
        fixture.testbed.set_fault(Fault::Challenge(vec![line]));
        let error = discovery_error(&fixture).await;
        assert!(
            matches!(error, DiscoveryError::Unsafe { .. }),
            "{bad}: {error}"
        );
    }
    fixture.assert_nothing_was_sent();
}
