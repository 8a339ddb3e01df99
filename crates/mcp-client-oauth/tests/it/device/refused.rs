//! Device logins that end without tokens, and what the user is never shown (RFC 8628 §5.4, §6.1).

use mcp_client_oauth::error::{DeviceResponseError, TokenError};

use super::*;

/// Returns why the response of the device endpoint is rejected; nothing was shown and nothing polled.
async fn response_error(response: ScriptedResponse) -> DeviceResponseError {
    let fixture = Fixture::with_script([response]);
    let cause = match fixture.login_error().await {
        AuthorizationError::Device { url, cause } => {
            assert_eq!(url.as_str(), "https://as.example/device_authorization");
            cause
        }
        other => panic!("{other}"),
    };
    assert_eq!(fixture.user.prompts(), []);
    assert_eq!(fixture.user.opened(), []);
    assert_eq!(fixture.polls(), 0);
    assert_eq!(fixture.record().await, None);
    cause
}

#[tokio::test]
async fn a_denial_ends_the_login() {
    let denied = json!({"error": "access_denied", "error_description": "not \u{1b}[2Jtoday"});
    let fixture = Fixture::with_polls(&code(), [pending(), response(400, &denied), tokens()]);
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
async fn expired_token_ends_the_login() {
    let fixture = Fixture::with_polls(
        &code(),
        [pending(), error_response("expired_token"), tokens()],
    );
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!((fixture.polls(), fixture.elapsed()), (2, 10));
}

#[tokio::test]
async fn any_other_error_ends_the_login_at_the_first_poll() {
    for (refusal, remedy) in [
        (error_response("invalid_grant"), Remedy::LogIn),
        (error_response("invalid_client"), Remedy::Reconfigure),
        (
            error_response("unsupported_grant_type"),
            Remedy::Reconfigure,
        ),
        (response(404, &json!({})), Remedy::ContactServerOperator),
        (response(200, &json!({})), Remedy::ContactServerOperator),
        (
            Err(HttpErrorKind::TooLarge(1)),
            Remedy::ContactServerOperator,
        ),
    ] {
        let fixture = Fixture::with_polls(&code(), [refusal, tokens()]);
        let error = fixture.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{error}");
        assert_eq!(fixture.polls(), 1, "{error}");
    }
}

#[tokio::test]
async fn an_echoed_device_code_is_not_shown() {
    let echo = json!({
        "error": "invalid_grant",
        "error_description": "no such code: planted-device-code",
    });
    let fixture = Fixture::with_polls(&code(), [response(400, &echo)]);
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
async fn an_unsafe_verification_uri_is_rejected() {
    for member in ["verification_uri", "verification_uri_complete"] {
        for bad in [
            "javascript:alert(1)",
            "http://as.example/device",
            "http://127.0.0.1/device",
            "https://192.168.0.1/device",
            "https://as.example@evil.example/device",
            "https://as.example/\u{1b}]0;x\u{7}",
        ] {
            let cause = response_error(response(200, &code_with(member, bad.into()))).await;
            let DeviceResponseError::UnsafeUri { member: named, .. } = cause else {
                panic!("{bad}: {cause}")
            };
            assert_eq!(named, member);
        }
    }
}

#[tokio::test]
async fn a_verification_uri_on_a_third_party_host_is_marked() {
    for (uri, elsewhere) in [
        ("https://as.example/activate", false),
        ("https://github.example/login/device", true),
        ("https://as.example.evil.example/device", true),
    ] {
        let mut code = code_without("verification_uri_complete");
        code["verification_uri"] = uri.into();
        let fixture = Fixture::with_polls(&code, [tokens()]);
        fixture.login().await.unwrap();
        assert_eq!(fixture.prompt().is_third_party_host, elsewhere, "{uri}");
        assert_eq!(fixture.prompt().verification_uri.as_str(), uri);
    }
}

#[tokio::test]
async fn a_user_code_is_short_and_has_no_control_characters() {
    for bad in ["x".repeat(10 * 1024), "\u{202e}".repeat(65), String::new()] {
        let cause = response_error(response(200, &code_with("user_code", bad.into()))).await;
        assert!(matches!(cause, DeviceResponseError::Unusable(_)), "{cause}");
    }
    for (sent, shown) in [
        ("AB\u{202e}DC\u{1b}[2J", "AB\\u{202e}DC\\u{1b}[2J"),
        // Greek and Cyrillic letters that look like Latin ones.
        ("ΑВ-12", "\\u{391}\\u{412}-12"),
    ] {
        let fixture = Fixture::with_polls(&code_with("user_code", sent.into()), [tokens()]);
        fixture.login().await.unwrap();
        assert_eq!(fixture.prompt().user_code, shown);
    }
}

#[tokio::test]
async fn a_rejected_device_authorization_has_a_remedy() {
    for (refusal, remedy) in [
        (error_response("unauthorized_client"), Remedy::Reconfigure),
        (error_response("invalid_scope"), Remedy::Reconfigure),
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
        let fixture = Fixture::with_script([refusal]);
        let error = fixture.login().await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{shown}: {error}");
        assert_eq!(fixture.user.prompts(), []);
    }
    let cause = response_error(error_response("invalid_scope")).await;
    assert!(cause.to_string().contains("`invalid_scope`"), "{cause}");
}

#[tokio::test]
async fn a_network_error_before_the_code_ends_the_login() {
    let fixture = Fixture::with_script([unreachable(), response(200, &code())]);
    let error = fixture.login().await.unwrap_err();
    assert!(matches!(error, Error::Http(_)), "{error}");
    assert_eq!(fixture.http.requests().len(), 1);
}
