//! Registrations that the server rejects, that expire, or that a metadata document makes unnecessary.

use std::time::Duration;

use mcp_client_oauth::{Error, error::RegistrationError};
use mcp_oauth_testbed::{Fault, Peer, RecordedRequest, Testbed};
use serde_json::{Value, json};

use super::{DOCUMENT, sent_client_id, successor_with, with_document};
use crate::support::{Fixture, start_time};

/// Rejects registrations with this error.
fn rejects_registration(error: &str, times: Option<u32>) -> Fault {
    Fault::Status {
        path: "/register".to_owned(),
        status: 400,
        body: json!({"error": error, "error_description": "not like that"}).to_string(),
        headers: Vec::new(),
        times,
    }
}

/// Returns the body of each registration request, in order.
pub(super) fn registration_requests(fixture: &Fixture) -> Vec<Value> {
    let requests = fixture.testbed.requests();
    let registrations = requests.iter().filter(|r| r.path == "/register");
    registrations.filter_map(RecordedRequest::json).collect()
}

#[tokio::test]
async fn a_rejected_native_client_is_registered_once_as_a_web_client() {
    for (error, builder) in [
        ("invalid_redirect_uri", Testbed::builder()),
        // Without a scope, so that there is none to leave out.
        (
            "invalid_client_metadata",
            Testbed::builder().scopes_supported(None),
        ),
    ] {
        let fixture = Fixture::with(builder).await;
        fixture
            .testbed
            .set_fault(rejects_registration(error, Some(1)));
        fixture.login().await.unwrap();
        let registrations = registration_requests(&fixture);
        let [first, second] = &registrations[..] else {
            panic!("{registrations:?}")
        };
        assert_eq!(first["application_type"], "native");
        let mut expected = first.clone();
        expected["application_type"] = json!("web");
        assert_eq!(*second, expected);
    }
}

#[tokio::test]
async fn a_server_that_rejects_every_fallback_gets_no_more_registrations() {
    for (error, count) in [
        ("invalid_redirect_uri", 2),
        ("invalid_client_metadata", 4),
        ("invalid_scope", 2),
        ("invalid_software_statement", 1),
        ("access_denied", 1),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(rejects_registration(error, None));
        let refusal = fixture.login().await.unwrap_err();
        let is_refused = matches!(
            refusal,
            Error::Registration(RegistrationError::Response { .. })
        );
        assert!(is_refused, "{refusal}");
        let text = refusal.to_string();
        assert!(
            text.contains(error) && text.contains("not like that"),
            "{text}"
        );
        assert_eq!(registration_requests(&fixture).len(), count, "{error}");
        assert_eq!(fixture.user.opened_urls(), []);
    }
}

#[tokio::test]
async fn a_client_with_an_expired_secret_is_registered_again() {
    let fixture = Fixture::with(Testbed::builder().confidential_registrations(true)).await;
    let end = start_time() + Duration::from_secs(1000);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let expiry = Fault::RegistrationField("client_secret_expires_at".to_owned(), json!(end));
    fixture.testbed.set_fault(expiry);
    fixture.login().await.unwrap();
    fixture.clock.advance(Duration::from_secs(999));
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
    let old = sent_client_id(&fixture);

    fixture.testbed.clear_faults();
    fixture.clock.advance(Duration::from_secs(1));
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
    assert_ne!(sent_client_id(&fixture), old);
}

#[tokio::test]
async fn a_document_is_the_same_client_at_every_issuer() {
    let takes_one = || Testbed::builder().client_id_metadata_documents(true);
    let fixture = Fixture::with(takes_one()).await;
    fixture.login_with(with_document).await.unwrap();
    let successor = successor_with(takes_one(), &fixture).await;
    let session = fixture.login_with(with_document).await.unwrap();
    assert_eq!(
        session.record().unwrap().discovery.issuer().as_str(),
        successor.issuer()
    );
    assert_eq!(sent_client_id(&fixture), DOCUMENT);
    for testbed in [&*fixture.testbed, &successor] {
        let registered = testbed.count(Peer::AuthorizationServer, "POST", "/register");
        assert_eq!(registered, 0);
    }
}
