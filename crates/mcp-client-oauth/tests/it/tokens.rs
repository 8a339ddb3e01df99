//! Token responses at a login, and which of them are rejected (RFC 6749 §5.1, §5.2; RFC 6750 §2.1).

use mcp_client_oauth::{
    Error, Login, Remedy,
    error::{HttpErrorKind, TokenError},
};
use mcp_oauth_testbed::{Corruption, Endpoint, Fault, Testbed};
use serde_json::{Value, json};

use crate::support::Fixture;

fn corruption(how: Corruption) -> Fault {
    Fault::Corrupt(Endpoint::Token, how)
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

/// Logs in with a fault, and asserts that nothing is stored.
async fn login_error(fault: Fault) -> Error {
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
    match login_error(fault).await {
        Error::TokenExchange { cause, url } => {
            assert_eq!(url.path(), "/token");
            cause
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_invalid_token_response_is_rejected() {
    for fault in [
        corruption(Corruption::Html),
        corruption(Corruption::Empty),
        corruption(Corruption::Null),
        corruption(Corruption::Truncated),
        corruption(Corruption::FormEncoded),
        corruption(Corruption::DuplicateKey(
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
async fn each_failure_has_a_remedy() {
    let invalid_grant = r#"{"error":"invalid_grant","error_description":"too late"}"#;
    for (fault, remedy) in [
        (corruption(Corruption::Html), Remedy::ContactServerOperator),
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
        (
            corruption(Corruption::TooLarge),
            Remedy::ContactServerOperator,
        ),
        (corruption(Corruption::CutAfter(10)), Remedy::Retry),
    ] {
        let error = login_error(fault.clone()).await;
        assert_eq!(error.remedy(), remedy, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn the_error_description_of_the_server_is_reported() {
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
async fn an_endless_or_a_truncated_response_is_a_network_error() {
    let Error::Http(error) = login_error(corruption(Corruption::TooLarge)).await else {
        panic!()
    };
    assert!(matches!(error.cause, HttpErrorKind::TooLarge(_)), "{error}");
    let Error::Http(error) = login_error(corruption(Corruption::CutAfter(10))).await else {
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
    let error = token_error(corruption(Corruption::RedirectTo(target))).await;
    assert!(
        matches!(error, TokenError::Malformed { status: 307, .. }),
        "{error}"
    );
    assert_eq!(elsewhere.requests().len(), 0);
}

#[tokio::test]
async fn a_nonconforming_token_response_is_accepted() {
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
        assert!(session.cached_header().is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_scope_that_was_not_granted_is_reported() {
    let fixture = Fixture::start().await;
    fixture
        .testbed
        .set_fault(field("scope", json!("notes:read")));
    let wider = |login: Login| login.scope("notes:read notes:write");
    let session = fixture.login_with(wider).await.unwrap();
    assert_eq!(
        session
            .record()
            .unwrap()
            .missing_scope()
            .unwrap()
            .to_string(),
        "notes:write"
    );
    assert_eq!(
        session.record().unwrap().tokens.scope.unwrap().to_string(),
        "notes:read"
    );
}

#[tokio::test]
async fn unneeded_response_members_are_not_stored() {
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
    fixture.testbed.set_fault(corruption(Corruption::Html));
    fixture.login().await.unwrap_err();
    assert_eq!(fixture.record().await, before);
}

#[tokio::test]
async fn a_modified_code_gets_no_tokens() {
    let user = crate::support::TestUser::tampering(|callback| {
        vec![crate::support::with_parameter(
            callback,
            "code",
            Some("code_of_another_login"),
        )]
    });
    let fixture = Fixture::start().await.with_user(user);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::TokenExchange { .. }), "{error}");
    assert_eq!(error.remedy(), Remedy::LogIn);
    fixture.assert_nothing_is_stored().await;
}
