//! Device authorization.

use std::time::Duration;

use mcp_oauth_testbed::test_user::{TestUserError, approve_device, deny_device, visit};
use mcp_oauth_testbed::{Builder, Fault, Testbed};
use serde_json::{Value, json};
use url::Url;

use crate::browser::*;

const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A device with its codes.
struct Device {
    testbed: Testbed,
    response: Response,
}

impl Device {
    async fn new(builder: Builder) -> Self {
        let builder = builder.device_authorization(true).client("tv", None);
        let testbed = builder.start().await.unwrap();
        let response = authorize_device(&testbed, "tv", "notes:read notes:write").await;
        assert_eq!(response.status, 200, "{}", response.body);
        Self { testbed, response }
    }

    async fn waiting() -> Self {
        Self::new(Testbed::builder().manual_clock(true)).await
    }

    fn page(&self) -> Url {
        Url::parse(&self.response.text("verification_uri")).unwrap()
    }

    fn user_code(&self) -> String {
        self.response.text("user_code")
    }

    async fn poll(&self) -> Response {
        let code = self.response.text("device_code");
        poll(&self.testbed, "tv", &code).await
    }

    async fn poll_error(&self) -> String {
        let response = self.poll().await;
        assert_eq!(response.status, 400, "{}", response.body);
        response.text("error")
    }

    fn wait(&self, seconds: u64) {
        self.testbed.advance(Duration::from_secs(seconds));
    }
}

async fn authorize_device(testbed: &Testbed, client: &str, scope: &str) -> Response {
    let server = testbed.server_url();
    let pairs = [
        ("client_id", client),
        ("scope", scope),
        ("resource", server.as_str()),
    ];
    post_form(&endpoint(testbed, "/device_authorization"), &pairs).await
}

async fn poll(testbed: &Testbed, client: &str, device_code: &str) -> Response {
    let server = testbed.server_url();
    let pairs = [
        ("grant_type", DEVICE_CODE),
        ("client_id", client),
        ("device_code", device_code),
        ("resource", server.as_str()),
    ];
    post_token(testbed, &pairs).await
}

#[tokio::test]
async fn a_device_gets_tokens_once_the_user_has_approved() {
    let device = Device::waiting().await;
    assert_eq!(device.response.json()["interval"], 5);
    assert_eq!(device.response.json()["expires_in"], 600);
    assert_eq!(device.poll_error().await, "authorization_pending");
    let page = approve_device(&device.page(), &device.user_code())
        .await
        .unwrap();
    assert!(
        page.body.contains("The device is connected"),
        "{}",
        page.body
    );
    let tokens = device.poll().await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.text("scope"), "notes:read notes:write");
    let testbed = &device.testbed;
    assert!(is_good(testbed, &tokens.text("access_token")).await);
    let renewed = refresh(testbed, "tv", &tokens.text("refresh_token")).await;
    assert_eq!(renewed.status, 200);
    assert_eq!(testbed.families()[0].grant_type, DEVICE_CODE);
    assert_eq!(device.poll_error().await, "invalid_grant");
}

#[tokio::test]
async fn the_complete_uri_contains_the_code_and_the_page_shows_it() {
    let device = Device::waiting().await;
    let complete = Url::parse(&device.response.text("verification_uri_complete")).unwrap();
    let page = visit(&complete).await.unwrap();
    assert!(page.body.contains(&device.user_code()), "{}", page.body);
    assert!(page.body.contains("write and change your notes"));
    approve_device(&complete, "").await.unwrap();
    assert_eq!(device.poll().await.status, 200);
}

#[tokio::test]
async fn a_denial_and_an_expiry_end_polling() {
    let device = Device::waiting().await;
    let page = deny_device(&device.page(), &device.user_code())
        .await
        .unwrap();
    assert!(page.body.contains("The device is not connected"));
    assert_eq!(device.poll_error().await, "access_denied");
    let device = Device::new(Testbed::builder().device_lifetime(Duration::from_secs(9))).await;
    device.wait(9);
    assert_eq!(device.poll_error().await, "expired_token");
    let error = approve_device(&device.page(), &device.user_code())
        .await
        .unwrap_err();
    assert!(
        matches!(error, TestUserError::NoForm { status: 400, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_code_may_be_entered_in_lower_case_and_without_its_hyphen() {
    let device = Device::waiting().await;
    let typed = device.user_code().replace('-', "").to_lowercase();
    approve_device(&device.page(), &typed).await.unwrap();
    assert_eq!(device.poll().await.status, 200);
}

#[tokio::test]
async fn a_wrong_code_can_be_entered_again() {
    let device = Device::waiting().await;
    let error = approve_device(&device.page(), "AAAA-AAAA")
        .await
        .unwrap_err();
    assert!(
        matches!(error, TestUserError::NoForm { status: 400, .. }),
        "{error}"
    );
    assert_eq!(device.poll_error().await, "authorization_pending");
}

#[tokio::test]
async fn polling_faster_than_the_interval_increases_it() {
    let device = Device::waiting().await;
    assert_eq!(device.poll_error().await, "authorization_pending");
    device.wait(4);
    assert_eq!(device.poll_error().await, "slow_down");
    device.wait(9);
    assert_eq!(device.poll_error().await, "slow_down");
    device.wait(15);
    assert_eq!(device.poll_error().await, "authorization_pending");
    approve_device(&device.page(), &device.user_code())
        .await
        .unwrap();
    assert_eq!(device.poll().await.status, 200);
}

#[tokio::test]
async fn with_interval_zero_no_poll_is_too_fast() {
    let builder = Testbed::builder().device_interval(Duration::ZERO);
    let device = Device::new(builder).await;
    for _ in 0..3 {
        assert_eq!(device.poll_error().await, "authorization_pending");
    }
}

#[tokio::test]
async fn a_device_code_is_bound_to_its_client_and_needs_its_resource() {
    let builder = Testbed::builder().client("thief", None);
    let device = Device::new(builder).await;
    approve_device(&device.page(), &device.user_code())
        .await
        .unwrap();
    let code = device.response.text("device_code");
    let stolen = poll(&device.testbed, "thief", &code).await;
    assert_eq!(stolen.text("error"), "invalid_grant");
    let pairs = [
        ("grant_type", DEVICE_CODE),
        ("client_id", "tv"),
        ("device_code", code.as_str()),
    ];
    let response = post_token(&device.testbed, &pairs).await;
    assert_eq!(response.text("error"), "invalid_target");
    assert_eq!(device.poll().await.status, 200);
}

#[tokio::test]
async fn a_client_must_register_for_the_device_grant() {
    let builder = Testbed::builder().device_authorization(true);
    let testbed = builder.start().await.unwrap();
    let without = register(&testbed).await;
    let response = authorize_device(&testbed, &without, "notes:read").await;
    assert_eq!(response.text("error"), "unauthorized_client");
    let body = json!({
        "redirect_uris": [CALLBACK],
        "token_endpoint_auth_method": "none",
        "grant_types": [DEVICE_CODE, "refresh_token"],
    });
    let with = post_json(&endpoint(&testbed, "/register"), &[], &body).await;
    assert_eq!(with.status, 201, "{}", with.body);
    let response = authorize_device(&testbed, &with.text("client_id"), "notes:read").await;
    assert_eq!(response.status, 200, "{}", response.body);
}

#[tokio::test]
async fn a_device_registers_without_a_redirect_uri_and_cannot_use_one() {
    let builder = Testbed::builder().device_authorization(true);
    let testbed = builder.start().await.unwrap();
    let register = async |redirect_uris: Value, grant_type: &str| {
        let body = json!({
            "redirect_uris": redirect_uris,
            "response_types": [],
            "token_endpoint_auth_method": "none",
            "grant_types": [grant_type, "refresh_token"],
        });
        post_json(&endpoint(&testbed, "/register"), &[], &body).await
    };
    for refused in [
        register(json!([]), "authorization_code").await,
        register(json!(null), DEVICE_CODE).await,
        register(json!([7]), DEVICE_CODE).await,
    ] {
        assert_eq!(refused.text("error"), "invalid_redirect_uri");
    }
    let device = register(json!([]), DEVICE_CODE).await;
    assert_eq!(device.status, 201, "{}", device.body);
    let id = device.text("client_id");
    assert_eq!(
        authorize_device(&testbed, &id, "notes:read").await.status,
        200
    );
    let mut url = endpoint(&testbed, "/authorize").parse::<Url>().unwrap();
    url.query_pairs_mut()
        .append_pair("client_id", &id)
        .append_pair("redirect_uri", CALLBACK);
    let page = get(url.as_str()).await;
    assert!(
        page.body.contains("may not use authorization_code"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn the_metadata_names_the_endpoint_if_it_is_enabled() {
    let device = Device::waiting().await;
    let metadata = server_metadata(&device.testbed).await;
    assert_eq!(
        metadata["device_authorization_endpoint"],
        endpoint(&device.testbed, "/device_authorization")
    );
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    assert!(grants.contains(&json!(DEVICE_CODE)));
    let without = Testbed::start().await.unwrap();
    let metadata = server_metadata(&without).await;
    assert_eq!(metadata.get("device_authorization_endpoint"), None);
    let refused = poll(&without, &register(&without).await, "x").await;
    assert_eq!(refused.text("error"), "unsupported_grant_type");
}

#[tokio::test]
async fn fields_of_the_response_can_be_set_or_left_out() {
    let long = "\u{202e}".repeat(3000);
    let builder = Testbed::builder()
        .fault(Fault::DeviceField("interval".to_owned(), json!("5")))
        .fault(Fault::DeviceField("user_code".to_owned(), json!(long)))
        .fault(Fault::DeviceField(
            "verification_uri".to_owned(),
            json!("javascript:alert(1)"),
        ))
        .fault(Fault::DeviceWithout("expires_in".to_owned()));
    let device = Device::new(builder).await;
    let response = device.response.json();
    assert_eq!(response["interval"], "5");
    assert_eq!(response["user_code"], long);
    assert_eq!(response["verification_uri"], "javascript:alert(1)");
    assert_eq!(response.get("expires_in"), None);
}

#[tokio::test]
async fn a_content_type_with_a_charset_can_be_refused() {
    let device = Device::waiting().await;
    device.testbed.set_fault(Fault::DeviceRejectsCharset);
    let url = endpoint(&device.testbed, "/device_authorization");
    assert_eq!(
        authorize_device(&device.testbed, "tv", "notes:read")
            .await
            .status,
        200
    );
    let body = form(&[
        ("client_id", "tv"),
        ("resource", device.testbed.server_url().as_str()),
    ]);
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    assert_eq!(post_text(&url, content_type, &body).await.status, 400);
    device.testbed.clear_faults();
    assert_eq!(post_text(&url, content_type, &body).await.status, 200);
}

#[tokio::test]
async fn slow_down_can_repeat_without_end_and_a_poll_can_fail() {
    let device = Device::waiting().await;
    device.testbed.set_fault(Fault::AlwaysSlowDown);
    approve_device(&device.page(), &device.user_code())
        .await
        .unwrap();
    for _ in 0..3 {
        device.wait(100);
        assert_eq!(device.poll_error().await, "slow_down");
    }
    device.testbed.clear_faults();
    device.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 503,
        body: String::new(),
        headers: Vec::new(),
        times: Some(1),
    });
    assert_eq!(device.poll().await.status, 503);
    assert_eq!(device.poll().await.status, 200);
}
