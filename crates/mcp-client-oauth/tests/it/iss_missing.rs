//! Error responses without the `iss` that the server announces (RFC 9207 §2.4): the login ends, and
//! nothing of the response is read.

use mcp_client_oauth::{
    Error, Remedy,
    error::{AuthorizationError, CallbackError},
};
use url::Url;

use crate::support::{Fixture, TestUser, browse, parameter};

/// The responses of real servers that announce `authorization_response_iss_parameter_supported`:
/// to a request that they reject, and after a consent that was declined.
const ERRORS: &[(&str, &str)] = &[
    (
        "django-oauth-toolkit 3.4.1, consent declined",
        "error=access_denied&state=STATE",
    ),
    (
        "django-oauth-toolkit 3.4.1, unknown scope",
        "error=invalid_scope&state=STATE",
    ),
    (
        "canaille 0.3.6, request refused",
        "error=invalid_request&error_description=Missing+%27nonce%27+in+request.&state=STATE",
    ),
];

#[tokio::test]
async fn an_error_without_the_announced_iss_ends_the_login_and_is_not_read() {
    for (name, query) in ERRORS {
        let fixture = Fixture::start().await;
        let fixture = fixture.with_user(TestUser::with_action(move |url| async move {
            let mut callback = Url::parse(&parameter(&url, "redirect_uri")).unwrap();
            let state = parameter(&url, "state");
            callback.set_query(Some(&query.replace("STATE", &state)));
            browse(callback).await
        }));
        let error = fixture.login().await.unwrap_err();
        let cause = match &error {
            Error::Authorization(AuthorizationError::Callback(cause)) => cause,
            other => panic!("{name}: {other}"),
        };
        assert!(matches!(cause, CallbackError::IssuerMissing(_)), "{name}");
        assert_eq!(error.remedy(), Remedy::LogIn, "{name}");
        let text = error.to_string();
        assert!(text.contains("if you just declined, that is why"), "{text}");
        for hidden in ["access_denied", "invalid_scope", "invalid_request", "nonce"] {
            assert!(!text.contains(hidden), "{name}: {text}");
        }
        let pages = fixture.user.pages().await;
        assert!(pages.iter().all(|page| !page.body.contains("nonce")));
        assert_eq!(pages.last().unwrap().url.path(), "/callback/denied");
        fixture.assert_nothing_is_stored().await;
        assert_eq!(fixture.posts("/token"), 0);
    }
}
