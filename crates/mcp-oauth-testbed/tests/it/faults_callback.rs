//! Faults of the callback.

use mcp_oauth_testbed::test_user::{Decision, decide};
use mcp_oauth_testbed::{Fault, Testbed};
use url::Url;

use crate::browser::*;

async fn callback_with(fault: Fault) -> (Testbed, Url) {
    let testbed = start(Testbed::builder().fault(fault)).await;
    let client = register(&testbed).await;
    let callback = approved(&testbed, &client).await.unwrap();
    (testbed, callback)
}

#[tokio::test]
async fn iss_can_be_wrong_or_absent() {
    let (_, callback) = callback_with(Fault::CallbackIss("https://evil.example".to_owned())).await;
    assert_eq!(
        parameter(&callback, "iss").as_deref(),
        Some("https://evil.example")
    );
    let (testbed, callback) = callback_with(Fault::CallbackWithoutIss).await;
    assert_eq!(parameter(&callback, "iss"), None);
    let metadata = server_metadata(&testbed).await;
    assert_eq!(
        metadata["authorization_response_iss_parameter_supported"],
        true
    );
}

#[tokio::test]
async fn state_can_be_wrong_or_absent() {
    let (_, callback) = callback_with(Fault::CallbackState("forged".to_owned())).await;
    assert_eq!(parameter(&callback, "state").as_deref(), Some("forged"));
    let (_, callback) = callback_with(Fault::CallbackWithoutState).await;
    assert_eq!(parameter(&callback, "state"), None);
}

#[tokio::test]
async fn the_code_can_be_repeated_or_sent_with_an_error() {
    let (_, callback) = callback_with(Fault::CallbackTwoCodes).await;
    assert_eq!(
        callback
            .query_pairs()
            .filter(|(name, _)| name == "code")
            .count(),
        2
    );
    let (_, callback) = callback_with(Fault::CallbackCodeAndError).await;
    assert!(parameter(&callback, "code").is_some());
    assert_eq!(
        parameter(&callback, "error").as_deref(),
        Some("server_error")
    );
}

#[tokio::test]
async fn an_error_can_be_forced_and_faults_switched_off() {
    let (testbed, callback) = callback_with(Fault::CallbackError {
        error: "temporarily_unavailable".to_owned(),
        description: Some("come back <later>".to_owned()),
    })
    .await;
    assert_eq!(
        parameter(&callback, "error").as_deref(),
        Some("temporarily_unavailable")
    );
    assert_eq!(
        parameter(&callback, "error_description").as_deref(),
        Some("come back <later>")
    );
    testbed.clear_faults();
    let client = register(&testbed).await;
    let url = authorization_url(&testbed, &good_request(&testbed, &client));
    let callback = decide(&url, Decision::Approve).await.unwrap();
    assert!(parameter(&callback, "code").is_some());
}
