//! Servers that accept only the clients on their allow list: the user sees what they say.

use mcp_client_oauth::{
    Error, Remedy,
    error::{RegistrationError, RegistrationResponseError},
};
use mcp_oauth_testbed::Fault;

use crate::support::Fixture;

async fn registration_error(status: u16, body: &str) -> (Error, RegistrationResponseError) {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::Status {
        path: "/register".to_owned(),
        status,
        body: body.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let error = fixture.login().await.unwrap_err();
    assert_eq!(fixture.user.opened_urls(), []);
    match &error {
        Error::Registration(RegistrationError::Response { cause, .. }) => {
            let cause = cause.clone();
            (error, cause)
        }
        other => panic!("{other}"),
    }
}

/// Returns what the hint about an allow list is decided by.
fn status_and_code(cause: &RegistrationResponseError) -> (u16, Option<&str>) {
    match cause {
        RegistrationResponseError::Refused { status, error, .. } => {
            (*status, error.as_ref().map(|error| error.code.as_raw()))
        }
        other => panic!("{other}"),
    }
}

/// `https://api.figma.com/v1/oauth/mcp/register`, October 2026.
#[tokio::test]
async fn the_403_of_figma_is_reported_as_an_allow_list() {
    let (error, cause) = registration_error(403, "Forbidden").await;
    assert_eq!(status_and_code(&cause), (403, None));
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    let text = error.to_string();
    assert!(text.ends_with("(HTTP 403: Forbidden)"), "{text}");
}

/// `https://mcp.clickup.com/oauth/register`, October 2026.
#[tokio::test]
async fn the_application_form_of_clickup_is_named() {
    let body = r#"{"error":"invalid_request","error_description":"Your integration is not currently allowlisted. To request access, please fill out the ClickUp MCP Server Allowlist Request Form at: https://forms.clickup-stg.com/333/f/ad-3426753/WF90UVNDA3H2GXA6TD. If you believe this is an error or need assistance, reach out to us at support@clickup.com."}"#;
    let (error, cause) = registration_error(400, body).await;
    assert_eq!(status_and_code(&cause), (400, Some("invalid_request")));
    let text = error.to_string();
    for said in ["not currently allowlisted", "WF90UVNDA3H2GXA6TD", "…"] {
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn a_rejected_request_is_reported_with_its_status_and_code() {
    for (status, body) in [
        (400, r#"{"error":"invalid_redirect_uri"}"#),
        (400, r#"{"error":"invalid_client_metadata"}"#),
        (404, "not here"),
        (429, "slow down"),
        (500, "oops"),
    ] {
        let code = body.strip_prefix(r#"{"error":""#);
        let code = code.and_then(|rest| rest.strip_suffix(r#""}"#));
        let (_, cause) = registration_error(status, body).await;
        assert_eq!(status_and_code(&cause), (status, code), "{body}");
    }
}
