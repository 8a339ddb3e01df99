//! Servers that admit only the clients on a list of their own: what they say reaches the user.

use mcp_client_oauth::{
    Error, Remedy,
    error::{RegistrationError, RegistrationResponseError},
};
use mcp_oauth_testbed::Fault;

use crate::support::Fixture;

async fn refused(status: u16, body: &str) -> (Error, RegistrationResponseError) {
    let fixture = Fixture::start().await;
    fixture.testbed.set_fault(Fault::Status {
        path: "/register".to_owned(),
        status,
        body: body.to_owned(),
        headers: Vec::new(),
        times: None,
    });
    let error = fixture.login().await.unwrap_err();
    assert_eq!(fixture.person.opened(), []);
    match &error {
        Error::Registration(RegistrationError::Answer { cause, .. }) => {
            let cause = cause.clone();
            (error, cause)
        }
        other => panic!("{other}"),
    }
}

/// `https://api.figma.com/v1/oauth/mcp/register`, October 2026.
#[tokio::test]
async fn figma_says_forbidden() {
    let (error, cause) = refused(403, "Forbidden").await;
    assert!(cause.may_be_allow_list());
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    let text = error.to_string();
    assert!(text.ends_with("(HTTP 403: Forbidden)"), "{text}");
}

/// `https://mcp.clickup.com/oauth/register`, October 2026.
#[tokio::test]
async fn clickup_names_its_form() {
    let body = r#"{"error":"invalid_request","error_description":"Your integration is not currently allowlisted. To request access, please fill out the ClickUp MCP Server Allowlist Request Form at: https://forms.clickup-stg.com/333/f/ad-3426753/WF90UVNDA3H2GXA6TD. If you believe this is an error or need assistance, reach out to us at support@clickup.com."}"#;
    let (error, cause) = refused(400, body).await;
    assert!(cause.may_be_allow_list());
    let text = error.to_string();
    for said in ["not currently allowlisted", "WF90UVNDA3H2GXA6TD", "…"] {
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_request_is_no_allow_list() {
    for (status, body) in [
        (400, r#"{"error":"invalid_redirect_uri"}"#),
        (400, r#"{"error":"invalid_client_metadata"}"#),
        (404, "not here"),
        (429, "slow down"),
        (500, "oops"),
    ] {
        let (_, cause) = refused(status, body).await;
        assert!(!cause.may_be_allow_list(), "{status} {body}");
    }
}
