//! What ends a device login without tokens, and what a person is never shown (H175, H178).

use mcp_client_oauth::error::{DeviceResponseError, TokenError};

use super::*;

/// What the device endpoint's answer is refused for; nobody was shown anything, nothing was polled.
async fn unusable(response: Answer) -> DeviceResponseError {
    let fixture = Fixture::playing([response]);
    let cause = match fixture.refused().await {
        AuthorizationError::Device { url, cause } => {
            assert_eq!(url.as_str(), "https://as.example/device_authorization");
            cause
        }
        other => panic!("{other}"),
    };
    assert_eq!(fixture.person.prompts(), []);
    assert_eq!(fixture.person.opened(), []);
    assert_eq!(fixture.polls(), 0);
    assert_eq!(fixture.record().await, None);
    cause
}

#[tokio::test]
async fn a_person_who_says_no_ends_it() {
    let denied = json!({"error": "access_denied", "error_description": "not \u{1b}[2Jtoday"});
    let fixture = Fixture::of(&code(), [pending(), response(400, &denied), tokens()]);
    let error = fixture.login().await.unwrap_err();
    assert!(
        matches!(&error, Error::Authorization(AuthorizationError::Denied(_))),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(error.to_string().contains("not \\u{1b}[2Jtoday"), "{error}");
    assert_eq!(fixture.polls(), 2);
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn a_code_that_the_server_calls_dead_ends_it() {
    let fixture = Fixture::of(&code(), [pending(), word("expired_token"), tokens()]);
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!((fixture.polls(), fixture.elapsed()), (2, 10));
}

#[tokio::test]
async fn any_other_refusal_ends_it_at_the_first_poll() {
    for (refusal, remedy) in [
        (word("invalid_grant"), Remedy::LogIn),
        (word("invalid_client"), Remedy::Reconfigure),
        (word("unsupported_grant_type"), Remedy::Reconfigure),
        (response(404, &json!({})), Remedy::ContactServerOperator),
        (response(200, &json!({})), Remedy::ContactServerOperator),
        (
            Err(HttpErrorKind::TooLarge(1)),
            Remedy::ContactServerOperator,
        ),
    ] {
        let fixture = Fixture::of(&code(), [refusal, tokens()]);
        let error = fixture.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{error}");
        assert_eq!(fixture.polls(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_echoed_code_is_not_told() {
    let echo = json!({
        "error": "invalid_grant",
        "error_description": "no such code: planted-device-code",
    });
    let fixture = Fixture::of(&code(), [response(400, &echo)]);
    let error = fixture.login().await.unwrap_err();
    assert!(
        matches!(
            &error,
            Error::TokenExchange {
                cause: TokenError::Refused { .. },
                ..
            }
        ),
        "{error}"
    );
    assert!(!format!("{error} {error:?}").contains("planted"), "{error}");
}

#[tokio::test]
async fn a_person_is_not_sent_to_an_unsafe_place() {
    for member in ["verification_uri", "verification_uri_complete"] {
        for bad in [
            "javascript:alert(1)",
            "http://as.example/device",
            "http://127.0.0.1/device",
            "https://192.168.0.1/device",
            "https://as.example@evil.example/device",
            "https://as.example/\u{1b}]0;x\u{7}",
        ] {
            let cause = unusable(response(200, &code_with(member, bad.into()))).await;
            let DeviceResponseError::UnsafeUri { member: named, .. } = cause else {
                panic!("{bad}: {cause}")
            };
            assert_eq!(named, member);
        }
    }
}

#[tokio::test]
async fn a_person_who_is_sent_elsewhere_is_told() {
    for (uri, elsewhere) in [
        ("https://as.example/activate", false),
        ("https://github.example/login/device", true),
        ("https://as.example.evil.example/device", true),
    ] {
        let mut code = code_without("verification_uri_complete");
        code["verification_uri"] = uri.into();
        let fixture = Fixture::of(&code, [tokens()]);
        fixture.login().await.unwrap();
        assert_eq!(fixture.prompt().is_elsewhere, elsewhere, "{uri}");
        assert_eq!(fixture.prompt().verification_uri.as_str(), uri);
    }
}

#[tokio::test]
async fn a_user_code_is_short_and_cannot_play_with_the_terminal() {
    for bad in ["x".repeat(10 * 1024), "\u{202e}".repeat(65), String::new()] {
        let cause = unusable(response(200, &code_with("user_code", bad.into()))).await;
        assert!(matches!(cause, DeviceResponseError::Unusable(_)), "{cause}");
    }
    for (sent, shown) in [
        ("AB\u{202e}DC\u{1b}[2J", "AB\\u{202e}DC\\u{1b}[2J"),
        // Greek and Cyrillic letters that look like Latin ones.
        ("ΑВ-12", "\\u{391}\\u{412}-12"),
    ] {
        let fixture = Fixture::of(&code_with("user_code", sent.into()), [tokens()]);
        fixture.login().await.unwrap();
        assert_eq!(fixture.prompt().user_code, shown);
    }
}

#[tokio::test]
async fn a_server_that_gives_no_code_says_what_to_do() {
    for (refusal, remedy) in [
        (word("unauthorized_client"), Remedy::Reconfigure),
        (word("invalid_scope"), Remedy::Reconfigure),
        (response(404, &Value::Null), Remedy::Reconfigure),
        (response(503, &Value::Null), Remedy::Retry),
        (response(429, &json!({"error": "slow_down"})), Remedy::Retry),
        (response(200, &Value::Null), Remedy::ContactServerOperator),
        (
            response(200, &code_without("device_code")),
            Remedy::ContactServerOperator,
        ),
    ] {
        let shown = format!("{refusal:?}");
        let fixture = Fixture::playing([refusal]);
        let error = fixture.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{shown}: {error}");
        assert_eq!(fixture.person.prompts(), []);
    }
    let cause = unusable(word("invalid_scope")).await;
    assert!(cause.to_string().contains("`invalid_scope`"), "{cause}");
}

#[tokio::test]
async fn a_network_that_fails_before_there_is_a_code_is_an_error_at_once() {
    let fixture = Fixture::playing([unreachable(), response(200, &code())]);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
    assert_eq!(fixture.http.requests().len(), 1);
}
