//! What ends a device login without tokens, and what a person is never shown (H175, H178).

use mcp_client_oauth::error::{DeviceResponseError, TokenError};

use super::*;

/// What the device endpoint's answer is refused for; nobody was shown anything, nothing was polled.
async fn unusable(answer: Answer) -> DeviceResponseError {
    let scene = Scene::playing([answer]);
    let cause = match scene.refused().await {
        AuthorizationError::Device { url, cause } => {
            assert_eq!(url.as_str(), "https://as.example/device_authorization");
            cause
        }
        other => panic!("{other}"),
    };
    assert_eq!(scene.person.prompts(), []);
    assert_eq!(scene.person.opened(), []);
    assert_eq!(scene.polls(), 0);
    assert_eq!(scene.record().await, None);
    cause
}

#[tokio::test]
async fn a_person_who_says_no_ends_it() {
    let denied = json!({"error": "access_denied", "error_description": "not \u{1b}[2Jtoday"});
    let scene = Scene::of(&code(), [pending(), answer(400, &denied), tokens()]);
    let error = scene.login().await.unwrap_err();
    assert!(
        matches!(&error, Error::Authorization(AuthorizationError::Denied(_))),
        "{error}"
    );
    assert_eq!(error.remedy(), Remedy::LogIn);
    assert!(error.to_string().contains("not \\u{1b}[2Jtoday"), "{error}");
    assert_eq!(scene.polls(), 2);
    assert_eq!(scene.record().await, None);
}

#[tokio::test]
async fn a_code_that_the_server_calls_dead_ends_it() {
    let scene = Scene::of(&code(), [pending(), word("expired_token"), tokens()]);
    let cause = scene.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!((scene.polls(), scene.elapsed()), (2, 10));
}

#[tokio::test]
async fn any_other_refusal_ends_it_at_the_first_poll() {
    for (refusal, remedy) in [
        (word("invalid_grant"), Remedy::LogIn),
        (word("invalid_client"), Remedy::Reconfigure),
        (word("unsupported_grant_type"), Remedy::Reconfigure),
        (answer(404, &json!({})), Remedy::ContactServerOperator),
        (answer(200, &json!({})), Remedy::ContactServerOperator),
        (
            Err(HttpErrorKind::TooLarge(1)),
            Remedy::ContactServerOperator,
        ),
    ] {
        let scene = Scene::of(&code(), [refusal, tokens()]);
        let error = scene.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{error}");
        assert_eq!(scene.polls(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_echoed_code_is_not_told() {
    let echo = json!({
        "error": "invalid_grant",
        "error_description": "no such code: planted-device-code",
    });
    let scene = Scene::of(&code(), [answer(400, &echo)]);
    let error = scene.login().await.unwrap_err();
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
            let cause = unusable(answer(200, &code_with(member, bad.into()))).await;
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
        let scene = Scene::of(&code, [tokens()]);
        scene.login().await.unwrap();
        assert_eq!(scene.prompt().is_elsewhere, elsewhere, "{uri}");
        assert_eq!(scene.prompt().verification_uri.as_str(), uri);
    }
}

#[tokio::test]
async fn a_user_code_is_short_and_cannot_play_with_the_terminal() {
    for bad in ["x".repeat(10 * 1024), "\u{202e}".repeat(65), String::new()] {
        let cause = unusable(answer(200, &code_with("user_code", bad.into()))).await;
        assert!(matches!(cause, DeviceResponseError::Unusable(_)), "{cause}");
    }
    for (sent, shown) in [
        ("AB\u{202e}DC\u{1b}[2J", "AB\\u{202e}DC\\u{1b}[2J"),
        // Greek and Cyrillic letters that look like Latin ones.
        ("ΑВ-12", "\\u{391}\\u{412}-12"),
    ] {
        let scene = Scene::of(&code_with("user_code", sent.into()), [tokens()]);
        scene.login().await.unwrap();
        assert_eq!(scene.prompt().user_code, shown);
    }
}

#[tokio::test]
async fn a_server_that_gives_no_code_says_what_to_do() {
    for (refusal, remedy) in [
        (word("unauthorized_client"), Remedy::Reconfigure),
        (word("invalid_scope"), Remedy::Reconfigure),
        (answer(404, &Value::Null), Remedy::Reconfigure),
        (answer(503, &Value::Null), Remedy::Retry),
        (answer(429, &json!({"error": "slow_down"})), Remedy::Retry),
        (answer(200, &Value::Null), Remedy::ContactServerOperator),
        (
            answer(200, &code_without("device_code")),
            Remedy::ContactServerOperator,
        ),
    ] {
        let shown = format!("{refusal:?}");
        let scene = Scene::playing([refusal]);
        let error = scene.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{shown}: {error}");
        assert_eq!(scene.person.prompts(), []);
    }
    let cause = unusable(word("invalid_scope")).await;
    assert!(cause.to_string().contains("`invalid_scope`"), "{cause}");
}

#[tokio::test]
async fn a_network_that_fails_before_there_is_a_code_is_an_error_at_once() {
    let scene = Scene::playing([unreachable(), answer(200, &code())]);
    let error = scene.login().await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
    assert_eq!(scene.http.requests().len(), 1);
}
