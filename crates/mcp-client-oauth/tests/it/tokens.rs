//! What comes back from the token endpoint at a login, and what is not taken for tokens (H75-H89).

use mcp_client_oauth::{
    Error, LoginOptions, Remedy,
    error::{HttpErrorKind, TokenError},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Testbed};
use serde_json::{Value, json};

use crate::support::Fixture;

fn spoil(how: Corruption) -> Fault {
    Fault::Spoil(Endpoint::Token, how)
}

fn field(name: &str, value: Value) -> Fault {
    Fault::TokenField(name.to_owned(), value)
}

fn status(code: u16, body: &str) -> Fault {
    Fault::Status {
        path: "/token".to_owned(),
        status: code,
        body: body.to_owned(),
        headers: Vec::new(),
        times: None,
    }
}

/// Logs in with a fault; nothing may be stored then.
async fn failure(fault: Fault) -> Error {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(fault);
    let error = fixture.login().await.unwrap_err();
    fixture.assert_nothing_is_stored().await;
    assert_eq!(
        fixture.testbed.token_requests("authorization_code"),
        1,
        "{error}"
    );
    error
}

async fn token_error(fault: Fault) -> TokenError {
    match failure(fault).await {
        Error::TokenExchange { cause, url } => {
            assert_eq!(url.path(), "/token");
            cause
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_is_no_token_response_is_not_taken_for_one() {
    for fault in [
        spoil(Corruption::Html),
        spoil(Corruption::Empty),
        spoil(Corruption::Null),
        spoil(Corruption::Truncated),
        spoil(Corruption::FormEncoded),
        spoil(Corruption::DuplicateKey(
            "access_token".to_owned(),
            json!("planted"),
        )),
        Fault::TokenWithout("access_token".to_owned()),
        Fault::TokenWithout("token_type".to_owned()),
        field("token_type", json!("mac")),
        field("token_type", json!("DPoP")),
        field("token_type", json!(7)),
        field("access_token", json!("")),
        field("access_token", json!(null)),
        field("access_token", json!(["planted"])),
        field("access_token", json!("planted\r\nX-Evil: 1")),
        field("access_token", json!("planted\u{0}")),
        field("access_token", json!("plänted")),
        field("access_token", json!("planted".repeat(10_000))),
        field("refresh_token", json!("planted".repeat(10_000))),
    ] {
        let error = token_error(fault.clone()).await;
        assert!(
            matches!(error, TokenError::Malformed { .. }),
            "{fault:?}: {error}"
        );
        assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
    }
}

#[tokio::test]
async fn each_failure_says_what_can_be_done() {
    let invalid_grant = r#"{"error":"invalid_grant","error_description":"too late"}"#;
    for (fault, remedy) in [
        (spoil(Corruption::Html), Remedy::ContactServerOperator),
        (
            Fault::TokenErrorWith200("invalid_grant".to_owned()),
            Remedy::LogIn,
        ),
        (status(400, invalid_grant), Remedy::LogIn),
        (
            status(401, r#"{"error":"invalid_client"}"#),
            Remedy::Reconfigure,
        ),
        (status(429, ""), Remedy::Retry),
        (status(503, "<html>"), Remedy::Retry),
        (status(500, r#"{"error":"server_error"}"#), Remedy::Retry),
        (spoil(Corruption::TooLarge), Remedy::ContactServerOperator),
        (spoil(Corruption::CutAfter(10)), Remedy::Retry),
    ] {
        let error = failure(fault.clone()).await;
        assert_eq!(error.remedy(), remedy, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn the_words_of_the_server_are_kept() {
    let words = r#"{"error":"invalid_grant","error_description":"the code is \u001b[2J old"}"#;
    let TokenError::Refused { status: 400, error } = token_error(status(400, words)).await else {
        panic!()
    };
    assert!(error.has_code("invalid_grant"));
    let text = error.to_string();
    assert!(
        text.contains("the code is") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[tokio::test]
async fn an_endless_or_a_cut_answer_is_a_failure_of_the_network() {
    let Error::Http(error) = failure(spoil(Corruption::TooLarge)).await else {
        panic!()
    };
    assert!(matches!(error.cause, HttpErrorKind::TooLarge(_)), "{error}");
    let Error::Http(error) = failure(spoil(Corruption::CutAfter(10))).await else {
        panic!()
    };
    assert!(
        matches!(error.cause, HttpErrorKind::Interrupted(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_code_is_not_sent_after_a_redirect() {
    let elsewhere = Testbed::start().await.unwrap();
    let target = format!("{}/token", elsewhere.issuer());
    let error = token_error(spoil(Corruption::RedirectTo(target))).await;
    assert!(
        matches!(error, TokenError::Malformed { status: 307, .. }),
        "{error}"
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_sloppy_answer_is_taken() {
    for fault in [
        field("token_type", json!("bEaReR ")),
        field("expires_in", json!("300")),
        field("expires_in", json!(300.9)),
        field("scope", json!(null)),
        field("refresh_token", json!("")),
        Fault::TokenWithout("expires_in".to_owned()),
        Fault::TokenWithout("scope".to_owned()),
    ] {
        let fixture = Fixture::start().await;
        fixture.testbed.set_fault(fault.clone());
        let session = fixture.login().await.unwrap();
        assert!(session.ready_header().is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn what_was_not_granted_is_known() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(field("scope", json!("notes:read")));
    let mut options = LoginOptions::default();
    options.scope = Some("notes:read notes:write".parse().unwrap());
    let session = fixture.login_with(&options).await.unwrap();
    assert_eq!(session.missing_scope().unwrap().to_string(), "notes:write");
    assert_eq!(
        session.record().tokens.scope.unwrap().to_string(),
        "notes:read"
    );
}

#[tokio::test]
async fn what_is_not_ours_to_know_is_not_stored() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(field("id_token", json!("planted")));
    fixture
        .testbed
        .set_fault(field("nested", json!({"deep": ["planted"]})));
    fixture.login().await.unwrap();
    let record = serde_json::to_string(&fixture.record().await.unwrap()).unwrap();
    assert!(!record.contains("planted"), "{record}");
}

#[tokio::test]
async fn a_failed_login_leaves_the_tokens_of_the_one_before() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let before = fixture.record().await;
    fixture.testbed.set_fault(spoil(Corruption::Html));
    fixture.login().await.unwrap_err();
    assert_eq!(fixture.record().await, before);
}

#[tokio::test]
async fn a_code_that_was_tampered_with_brings_nothing() {
    let person = crate::support::Person::who_tampers(|callback| {
        vec![crate::support::with_parameter(
            callback,
            "code",
            Some("code_of_somebody_else"),
        )]
    });
    let fixture = Fixture::start().await.for_person(person);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenExchange { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::LogIn);
    fixture.assert_nothing_is_stored().await;
}
