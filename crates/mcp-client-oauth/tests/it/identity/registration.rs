//! What becomes of a registration that the server refuses, lets expire, or need not have at all.

use std::time::Duration;

use mcp_client_oauth::{Error, error::RegistrationError};
use mcp_oauth_testbed::{Fault, Peer, Recorded, Testbed};
use serde_json::{Value, json};

use super::{DOCUMENT, shown_id, successor_by, with_document};
use crate::support::{Fixture, the_time};

/// Refuses registrations with this error.
fn refuses(error: &str, times: Option<u32>) -> Fault {
    Fault::Status {
        path: "/register".to_owned(),
        status: 400,
        body: json!({"error": error, "error_description": "not like that"}).to_string(),
        headers: Vec::new(),
        times,
    }
}

/// What each registration said, in order.
pub(super) fn told(fixture: &Fixture) -> Vec<Value> {
    let requests = fixture.testbed.requests();
    let registrations = requests.iter().filter(|r| r.path == "/register");
    registrations.filter_map(Recorded::json).collect()
}

#[tokio::test]
async fn a_server_that_refuses_a_native_client_is_asked_once_for_a_web_client() {
    for (error, builder) in [
        ("invalid_redirect_uri", Testbed::builder()),
        // Without a scope that could be left out.
        (
            "invalid_client_metadata",
            Testbed::builder().scopes_supported(None),
        ),
    ] {
        let fixture = Fixture::with(builder).await;
        fixture.testbed.set_fault(refuses(error, Some(1)));
        fixture.login().await.unwrap();
        let told = told(&fixture);
        let [first, second] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(first["application_type"], "native");
        let mut expected = first.clone();
        expected["application_type"] = json!("web");
        assert_eq!(*second, expected);
    }
}

#[tokio::test]
async fn a_server_that_refuses_all_that_may_help_is_not_asked_again() {
    for (error, asked) in [
        ("invalid_redirect_uri", 2),
        ("invalid_client_metadata", 4),
        ("invalid_scope", 2),
        ("invalid_software_statement", 1),
        ("access_denied", 1),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(refuses(error, None));
        let refusal = fixture.login().await.unwrap_err();
        let is_refused = matches!(
            refusal,
            Error::Registration(RegistrationError::Answer { .. })
        );
        assert!(is_refused, "{refusal}");
        let text = refusal.to_string();
        assert!(
            text.contains(error) && text.contains("not like that"),
            "{text}"
        );
        assert_eq!(told(&fixture).len(), asked, "{error}");
        assert_eq!(fixture.person.opened(), []);
    }
}

#[tokio::test]
async fn a_client_whose_secret_has_expired_is_registered_anew() {
    let fixture = Fixture::with(Testbed::builder().confidential_registrations(true)).await;
    let end = the_time() + Duration::from_secs(1000);
    let end = end.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let expiry = Fault::RegistrationField("client_secret_expires_at".to_owned(), json!(end));
    fixture.testbed.set_fault(expiry);
    fixture.login().await.unwrap();
    fixture.clock.advance(Duration::from_secs(999));
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 1);
    let old = shown_id(&fixture);

    fixture.testbed.clear_faults();
    fixture.clock.advance(Duration::from_secs(1));
    fixture.login().await.unwrap();
    assert_eq!(fixture.posts("/register"), 2);
    assert_ne!(shown_id(&fixture), old);
}

#[tokio::test]
async fn a_document_is_the_same_client_at_every_issuer() {
    let takes_one = || Testbed::builder().client_id_metadata_documents(true);
    let fixture = Fixture::with(takes_one()).await;
    fixture.login_with(&with_document()).await.unwrap();
    let successor = successor_by(takes_one(), &fixture).await;
    let session = fixture.login_with(&with_document()).await.unwrap();
    assert_eq!(
        session.record().discovery.issuer().as_str(),
        successor.issuer()
    );
    assert_eq!(shown_id(&fixture), DOCUMENT);
    for testbed in [&*fixture.testbed, &successor] {
        let registered = testbed.count(Peer::AuthorizationServer, "POST", "/register");
        assert_eq!(registered, 0);
    }
}
