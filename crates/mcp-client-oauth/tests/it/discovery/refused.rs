//! What discovery does not believe, and whom it does not visit (H1-H44).

use std::time::Duration;

use mcp_client_oauth::{
    DiscoveryOptions, Error, LoginOptions, Remedy, discover,
    error::{DiscoveryError, HttpErrorKind, ResourceMetadataError, ServerMetadataError},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Legacy, Peer, Testbed};
use serde_json::json;

use super::{OPENID, failure, found, legacy, prm_field};
use crate::support::{Fixture, Impatient, PRM, bounded};

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_and_its_endpoints_see_nothing() {
    for fault in [
        Fault::WrongIssuer("https://honest.example".to_owned()),
        Fault::IssuerWithTrailingSlash,
        Fault::MissingIssuer,
        Fault::Spoil(
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
            matches!(cause, ServerMetadataError::OtherIssuer { .. }),
            lies,
            "{cause}"
        );
        assert!(
            !lies || error.to_string().contains(&fixture.testbed.issuer()),
            "{error}"
        );
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        fixture.assert_nothing_was_sent();
        // An OpenID document of the same issuer is not tried behind the back of a dishonest one.
        assert_eq!(
            fixture
                .testbed
                .count(Peer::AuthorizationServer, "GET", OPENID),
            0
        );
    }
}

#[tokio::test]
async fn metadata_of_another_resource_is_refused() {
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
async fn a_document_that_is_none_is_a_typed_error_before_anybody_is_asked() {
    let raw = |body: &[u8]| Corruption::Raw {
        content_type: "application/json".to_owned(),
        body: body.to_vec(),
    };
    let deep = "[".repeat(100_000);
    for spoil in [
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
                .set_fault(Fault::Spoil(endpoint, spoil.clone()));
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
async fn an_endless_document_is_not_read_to_its_end() {
    for endpoint in [Endpoint::ResourceMetadata, Endpoint::ServerMetadata] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::Spoil(endpoint, Corruption::TooLarge));
        let error = found(&fixture).await.unwrap_err();
        let Error::Http(http) = &error else {
            panic!("{error}")
        };
        assert!(matches!(http.cause, HttpErrorKind::TooLarge(_)), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_waited_for_only_so_long() {
    let slow = Corruption::Trickle(Duration::from_millis(50));
    for spoil in [Corruption::NeverAnswers, slow] {
        for endpoint in [
            Endpoint::Mcp,
            Endpoint::ResourceMetadata,
            Endpoint::ServerMetadata,
        ] {
            if endpoint == Endpoint::Mcp && spoil != Corruption::NeverAnswers {
                continue; // Only the head of that answer is read.
            }
            let fixture = Fixture::start().await;
            fixture
                .testbed
                .set_fault(Fault::Spoil(endpoint, spoil.clone()));
            let platform = Impatient::platform(Duration::from_millis(150), &fixture);
            let options = DiscoveryOptions::default();
            let error = bounded(discover(&platform, &fixture.server, &options))
                .await
                .unwrap_err();
            let Error::Http(http) = &error else {
                panic!("{endpoint:?}: {error}")
            };
            assert!(matches!(http.cause, HttpErrorKind::TimedOut(_)), "{error}");
            assert_eq!(error.remedy(), Remedy::Retry);
            // What was asked for early is not asked for again.
            assert!(fixture.testbed.count(Peer::Mcp, "GET", PRM) <= 1);
        }
    }
}

#[tokio::test]
async fn a_redirect_is_followed_on_its_own_origin_alone() {
    let elsewhere = Fixture::start().await;
    for endpoint in [Endpoint::ResourceMetadata, Endpoint::ServerMetadata] {
        let fixture = Fixture::start().await;
        fixture
            .testbed
            .set_fault(Fault::Spoil(endpoint, Corruption::RedirectOnce));
        assert!(found(&fixture).await.is_ok(), "{endpoint:?}");

        let away = elsewhere.server.as_url().join(PRM).unwrap().to_string();
        for target in [
            away.as_str(),
            "file:///etc/passwd",
            "http://169.254.169.254/x",
            "",
        ] {
            fixture.testbed.clear_faults();
            let spoil = Corruption::RedirectTo(target.to_owned());
            fixture.testbed.set_fault(Fault::Spoil(endpoint, spoil));
            let error = failure(&fixture).await;
            if target.is_empty() {
                let is_refused = matches!(error, DiscoveryError::Redirect { .. });
                assert!(is_refused, "{error}");
                continue;
            }
            // The other locations are asked all the same, and have nothing.
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
async fn a_redirect_without_end_is_given_up() {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::Spoil(
        Endpoint::ResourceMetadata,
        Corruption::RedirectLoop,
    ));
    let error = failure(&fixture).await;
    assert!(
        matches!(error, DiscoveryError::Redirect { most: 3, .. }),
        "{error}"
    );
    assert_eq!(fixture.testbed.count(Peer::Mcp, "GET", PRM), 4);
}

#[tokio::test]
async fn an_old_server_with_metadata_has_to_announce_pkce_too() {
    let fixture = Fixture::with(Testbed::builder().legacy(Legacy::Metadata)).await;
    fixture.testbed.set_fault(Fault::OnlyPlainPkce);
    let mut options = LoginOptions::default();
    options.discovery = legacy();
    let error = fixture.login_with(&options).await.unwrap_err();
    assert!(
        matches!(error, Error::Discovery(DiscoveryError::PkceUnsupported(_))),
        "{error}"
    );
    assert_eq!(fixture.person.opened(), []);
}

#[tokio::test]
async fn a_dishonest_authorization_server_is_not_passed_over() {
    let dishonest = Testbed::start().await.unwrap();
    dishonest.set_fault(Fault::WrongIssuer("https://honest.example".to_owned()));
    let fixture = Fixture::start().await;
    let both = json!([dishonest.issuer(), fixture.testbed.issuer()]);
    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", both));
    let error = failure(&fixture).await.to_string();
    assert!(
        error.contains(&dishonest.issuer()) && error.contains("honest.example"),
        "{error}"
    );
}

#[tokio::test]
async fn a_thousand_authorization_servers_are_not_all_asked() {
    let canary = Testbed::builder().without_metadata().start().await.unwrap();
    let many: Vec<String> = (0..1000)
        .map(|n| format!("{}/{n}", canary.issuer()))
        .collect();
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", json!(many)));
    assert!(found(&fixture).await.is_err());
    assert!(canary.requests().len() <= 16, "{}", canary.requests().len());

    fixture
        .testbed
        .set_fault(prm_field("authorization_servers", json!([])));
    let error = failure(&fixture).await;
    assert!(
        matches!(error, DiscoveryError::NoAuthorizationServer(_)),
        "{error}"
    );
}

#[tokio::test]
async fn without_s256_nobody_is_sent_to_a_browser() {
    for (fault, says) in [
        (Fault::NoPkceMethods, "does not say that it supports PKCE"),
        (Fault::OnlyPlainPkce, "supports other methods of PKCE"),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault);
        let error = fixture.login().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.remedy(), Remedy::ContactServerOperator);
        assert_eq!(fixture.person.opened(), []);
        assert_eq!(fixture.posts("/token"), 0);
        fixture.assert_nothing_is_stored().await;
    }
}

#[tokio::test]
async fn one_unsafe_endpoint_spoils_the_metadata() {
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
async fn an_unsafe_place_that_the_server_names_is_not_visited() {
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
        let error = failure(&fixture).await;
        assert!(
            matches!(error, DiscoveryError::Unsafe { .. }),
            "{bad}: {error}"
        );

        fixture.testbed.clear_faults();
        let line = format!("Bearer resource_metadata=\"{bad}\"");
        fixture.testbed.set_fault(Fault::Challenge(vec![line]));
        let error = failure(&fixture).await;
        assert!(
            matches!(error, DiscoveryError::Unsafe { .. }),
            "{bad}: {error}"
        );
    }
    fixture.assert_nothing_was_sent();
}
