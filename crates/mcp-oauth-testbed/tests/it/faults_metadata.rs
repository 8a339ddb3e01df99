//! Faults of the two metadata documents, and the forms in which they are published.

use std::time::Duration;

use mcp_oauth_testbed::{Corruption, Endpoint, Fault, MetadataForm, Peer, PrmForm, Testbed};
use serde_json::{Value, json};

use crate::browser::*;

const AS_PATH: &str = "/.well-known/oauth-authorization-server";
const PRM_PATH: &str = "/.well-known/oauth-protected-resource";

async fn metadata_with(fault: Fault) -> (Testbed, Response) {
    let testbed = start(Testbed::builder().fault(fault)).await;
    let response = get(&endpoint(&testbed, AS_PATH)).await;
    (testbed, response)
}

async fn corrupted(how: Corruption) -> (Testbed, Response) {
    metadata_with(Fault::Corrupt(Endpoint::ServerMetadata, how)).await
}

fn prm_url(testbed: &Testbed, path: &str) -> String {
    testbed.server_url().join(path).unwrap().to_string()
}

#[tokio::test]
async fn the_issuer_can_be_wrong_missing_or_end_with_a_slash() {
    let (_, response) =
        metadata_with(Fault::WrongIssuer("https://honest.example".to_owned())).await;
    assert_eq!(response.text("issuer"), "https://honest.example");
    let (_, response) = metadata_with(Fault::MissingIssuer).await;
    assert_eq!(response.json().get("issuer"), None);
    let (testbed, response) = metadata_with(Fault::IssuerWithTrailingSlash).await;
    assert_eq!(response.text("issuer"), format!("{}/", testbed.issuer()));
}

#[tokio::test]
async fn pkce_methods_can_be_absent_or_plain() {
    let field = "code_challenge_methods_supported";
    let (_, response) = metadata_with(Fault::NoPkceMethods).await;
    assert_eq!(response.json().get(field), None);
    let (_, response) = metadata_with(Fault::OnlyPlainPkce).await;
    assert_eq!(response.json()[field], json!(["plain"]));
    assert_eq!(
        get(&endpoint(&Testbed::start().await.unwrap(), AS_PATH))
            .await
            .json()[field],
        json!(["S256"])
    );
}

#[tokio::test]
async fn any_field_of_either_document_can_be_set_or_left_out() {
    let name = || "token_endpoint".to_owned();
    let (_, response) =
        metadata_with(Fault::MetadataField(name(), json!("http://10.0.0.1/"))).await;
    assert_eq!(response.text("token_endpoint"), "http://10.0.0.1/");
    let (_, response) = metadata_with(Fault::MetadataWithout(name())).await;
    assert_eq!(response.json().get("token_endpoint"), None);

    let testbed = start(
        Testbed::builder()
            .fault(Fault::PrmField(
                "resource".to_owned(),
                json!("https://evil.example/mcp"),
            ))
            .fault(Fault::PrmWithout("scopes_supported".to_owned())),
    )
    .await;
    let document = get(&prm_url(&testbed, &format!("{PRM_PATH}/mcp")))
        .await
        .json();
    assert_eq!(document["resource"], "https://evil.example/mcp");
    assert_eq!(document.get("scopes_supported"), None);
    assert_eq!(document["authorization_servers"], json!([testbed.issuer()]));
}

#[tokio::test]
async fn a_document_can_be_html_null_empty_truncated_or_too_large() {
    let (_, response) = corrupted(Corruption::Html).await;
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let (_, response) = corrupted(Corruption::Null).await;
    assert_eq!(response.body, "null");
    let (_, response) = corrupted(Corruption::Empty).await;
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    let (_, response) = corrupted(Corruption::Truncated).await;
    assert!(
        response.body.starts_with('{') && serde_json::from_str::<Value>(&response.body).is_err()
    );
    let raw = Corruption::Raw {
        content_type: "application/json".to_owned(),
        body: b"[]".to_vec(),
    };
    let (_, response) = corrupted(raw).await;
    assert_eq!(response.body, "[]");
    let (_, response) = corrupted(Corruption::TooLarge).await;
    assert!(response.body.len() > 2 * 1024 * 1024);
    assert!(response.json()["token_endpoint"].is_string());
}

#[tokio::test]
async fn a_key_can_be_duplicated() {
    let evil = json!("https://evil.example/token");
    let (_, response) =
        corrupted(Corruption::DuplicateKey("token_endpoint".to_owned(), evil)).await;
    assert_eq!(response.body.matches("\"token_endpoint\":").count(), 2);
    assert_eq!(
        response.text("token_endpoint"),
        "https://evil.example/token"
    );
}

#[tokio::test]
async fn a_document_can_redirect_elsewhere_in_a_loop_or_once() {
    let (_, response) = corrupted(Corruption::RedirectTo("http://127.0.0.2:9/x".to_owned())).await;
    assert_eq!(
        (response.status, response.header("location")),
        (307, "http://127.0.0.2:9/x")
    );
    let (_, response) = corrupted(Corruption::RedirectLoop).await;
    assert_eq!(
        (response.status, response.header("location")),
        (307, AS_PATH)
    );
    let (testbed, response) = corrupted(Corruption::RedirectOnce).await;
    assert_eq!(response.status, 307);
    let again = get(&endpoint(&testbed, response.header("location"))).await;
    assert_eq!(again.text("issuer"), testbed.issuer());
}

#[tokio::test]
async fn a_document_sent_byte_by_byte_is_complete() {
    let (testbed, response) = corrupted(Corruption::Trickle(Duration::from_micros(1))).await;
    assert_eq!(response.text("issuer"), testbed.issuer());
    assert_eq!(response.header("content-length"), "");
}

#[tokio::test]
async fn a_response_can_be_withheld_until_the_server_stops() {
    let fault = Fault::Corrupt(Endpoint::ServerMetadata, Corruption::NeverResponds);
    let testbed = start(Testbed::builder().fault(fault)).await;
    let url = endpoint(&testbed, AS_PATH);
    let waiting = tokio::spawn(async move { try_get(&url).await });
    testbed
        .wait_for_requests(Peer::AuthorizationServer, "GET", AS_PATH, 1)
        .await;
    assert!(!waiting.is_finished());
    assert_eq!(testbed.requests()[0].status, 0);
    testbed.stop_authorization_server().await;
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn an_issuer_with_a_path_is_published_in_three_forms_and_never_at_the_root() {
    let testbed = start(Testbed::builder().issuer_path("/tenant1")).await;
    for path in [
        "/.well-known/oauth-authorization-server/tenant1",
        "/.well-known/openid-configuration/tenant1",
        "/tenant1/.well-known/openid-configuration",
    ] {
        assert_eq!(
            get(&endpoint(&testbed, path)).await.text("issuer"),
            testbed.issuer(),
            "{path}"
        );
    }
    assert!(testbed.issuer().ends_with("/tenant1"));
    assert_eq!(get(&endpoint(&testbed, AS_PATH)).await.status, 404);
}

#[tokio::test]
async fn each_form_can_be_the_only_one() {
    for (form, path) in [
        (
            MetadataForm::OAuth,
            "/.well-known/oauth-authorization-server/t",
        ),
        (
            MetadataForm::OpenIdInserted,
            "/.well-known/openid-configuration/t",
        ),
        (
            MetadataForm::OpenIdAppended,
            "/t/.well-known/openid-configuration",
        ),
    ] {
        let testbed = start(Testbed::builder().issuer_path("/t").metadata_at(form)).await;
        for other in [
            "/.well-known/oauth-authorization-server/t",
            "/.well-known/openid-configuration/t",
            "/t/.well-known/openid-configuration",
        ] {
            let expected = if other == path { 200 } else { 404 };
            assert_eq!(
                get(&endpoint(&testbed, other)).await.status,
                expected,
                "{form:?} {other}"
            );
        }
    }
    let none = start(Testbed::builder().without_metadata()).await;
    assert_eq!(get(&endpoint(&none, AS_PATH)).await.status, 404);
}

#[tokio::test]
async fn resource_metadata_is_served_at_the_configured_path() {
    let path = format!("{PRM_PATH}/mcp");
    for (form, at, named) in [
        (PrmForm::Header, Some(path.as_str()), true),
        (PrmForm::PathOnly, Some(path.as_str()), false),
        (PrmForm::RootOnly, Some(PRM_PATH), false),
        (PrmForm::Custom("/x.json".to_owned()), Some("/x.json"), true),
        (PrmForm::None, None, false),
    ] {
        let testbed = start(Testbed::builder().prm_at(form.clone())).await;
        for candidate in [path.as_str(), PRM_PATH, "/x.json"] {
            let response = get(&prm_url(&testbed, candidate)).await;
            let expected = if Some(candidate) == at { 200 } else { 404 };
            assert_eq!(response.status, expected, "{form:?} {candidate}");
        }
        let refused = get(testbed.server_url().as_str()).await;
        let challenge = refused.header("www-authenticate");
        let url = prm_url(&testbed, at.unwrap_or_default());
        let expected = format!("resource_metadata=\"{url}\"");
        assert_eq!(
            challenge.contains(&expected),
            named,
            "{form:?}: {challenge}"
        );
    }
}

#[tokio::test]
async fn the_resource_and_more_issuers_can_be_chosen() {
    let testbed = start(
        Testbed::builder()
            .resource("https://notes.example")
            .additional_authorization_server("https://other.example")
            .scopes_supported(Some(vec!["a", "b"])),
    )
    .await;
    let document = get(&prm_url(&testbed, &format!("{PRM_PATH}/mcp")))
        .await
        .json();
    assert_eq!(document["resource"], "https://notes.example");
    assert_eq!(document["scopes_supported"], json!(["a", "b"]));
    let issuers = json!([testbed.issuer(), "https://other.example"]);
    assert_eq!(document["authorization_servers"], issuers);
}

#[tokio::test]
async fn offline_access_is_listed_only_if_it_is_enabled() {
    for on in [false, true] {
        let testbed = start(Testbed::builder().offline_access(on)).await;
        let scopes = get(&endpoint(&testbed, AS_PATH)).await.json()["scopes_supported"].clone();
        let listed = scopes
            .as_array()
            .unwrap()
            .contains(&json!("offline_access"));
        assert_eq!(listed, on);
    }
}

#[tokio::test]
async fn each_endpoint_is_corrupted_separately() {
    let prm = format!("{PRM_PATH}/mcp");
    let all = [
        (Endpoint::ResourceMetadata, Peer::Mcp, prm.as_str()),
        (Endpoint::Mcp, Peer::Mcp, "/mcp"),
        (Endpoint::ServerMetadata, Peer::AuthorizationServer, AS_PATH),
        (
            Endpoint::Registration,
            Peer::AuthorizationServer,
            "/register",
        ),
        (
            Endpoint::Authorization,
            Peer::AuthorizationServer,
            "/authorize",
        ),
        (Endpoint::Token, Peer::AuthorizationServer, "/token"),
        (Endpoint::Revocation, Peer::AuthorizationServer, "/revoke"),
    ];
    let testbed = Testbed::start().await.unwrap();
    let raw = || Corruption::Raw {
        content_type: "text/plain".to_owned(),
        body: b"corrupted".to_vec(),
    };
    for (corrupted, _, _) in all {
        testbed.set_fault(Fault::Corrupt(corrupted, raw()));
        for (endpoint_here, peer, path) in all {
            let url = match peer {
                Peer::Mcp => prm_url(&testbed, path),
                _ => endpoint(&testbed, path),
            };
            let seen = get(&url).await.body == "corrupted";
            assert_eq!(seen, corrupted == endpoint_here, "{corrupted:?} at {path}");
        }
        testbed.clear_faults();
    }
}

#[tokio::test]
async fn the_mcp_server_serves_no_authorization_server_metadata() {
    let fault = Fault::Corrupt(Endpoint::ServerMetadata, Corruption::Html);
    let testbed = start(Testbed::builder().fault(fault)).await;
    assert_eq!(get(&prm_url(&testbed, AS_PATH)).await.status, 404);
    assert_eq!(testbed.count(Peer::Mcp, "GET", AS_PATH), 1);
    assert_eq!(testbed.count(Peer::AuthorizationServer, "GET", AS_PATH), 0);
}
