//! A device login from end to end: the client, the requests, the record.

use std::{net::TcpListener, sync::Mutex};

use async_trait::async_trait;
use mcp_client_oauth::{
    flow::{DiscoveryOptions, discover, refresh},
    platform::Interaction,
};
use url::Url;

use super::*;
use crate::support::lock;

fn registered() -> ScriptedResponse {
    response(
        201,
        &json!({"client_id": "registered", "redirect_uris": []}),
    )
}

#[tokio::test]
async fn a_login_stores_tokens_that_can_be_refreshed() {
    let next = json!({"access_token": "planted-access-token-2", "token_type": "Bearer"});
    let fixture = Fixture::with_polls(&code(), [pending(), tokens(), response(200, &next)]);
    let session = fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    assert_eq!(session.record().as_ref(), Some(&record));
    assert_eq!(record.identity.client_id(), "device");
    assert_eq!(
        record.tokens.issued_at,
        start_time() + Duration::from_secs(10)
    );
    assert_eq!(
        fixture.user.opened(),
        [],
        "the code was shown, and nothing was opened"
    );

    let renewed = refresh(&fixture.platform, &record).await.unwrap();
    assert_eq!(renewed.access_token.expose(), "planted-access-token-2");
    let request = fixture.requests("/token").pop().unwrap();
    assert_eq!(
        field(&request, "grant_type").as_deref(),
        Some("refresh_token")
    );
    assert_eq!(
        field(&request, "refresh_token").as_deref(),
        Some("planted-refresh-token-1")
    );
}

#[tokio::test]
async fn each_request_has_exactly_the_specified_parameters() {
    let fixture = Fixture::with_polls(&code(), [tokens()]);
    let login = fixture.login_with(|login| preregistered(login).scope("notes:read notes:write"));
    login.await.unwrap();
    let [ask, poll] = &fixture.http.requests()[..] else {
        panic!()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    };
    let expected = [
        ("scope", "notes:read notes:write"),
        ("resource", SERVER),
        ("client_id", "device"),
    ];
    assert_eq!(ask.url.as_str(), "https://as.example/device_authorization");
    assert_eq!(form(ask), pairs(&expected));
    let expected = [
        ("grant_type", URN),
        ("device_code", "planted-device-code"),
        ("resource", SERVER),
        ("client_id", "device"),
    ];
    assert_eq!(poll.url.as_str(), "https://as.example/token");
    assert_eq!(form(poll), pairs(&expected));
    for request in [ask, poll] {
        // Without a charset: some endpoints reject one.
        assert_eq!(
            request.headers[header::CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        assert!(!request.headers.contains_key(header::AUTHORIZATION));
    }
}

#[tokio::test]
async fn a_confidential_client_authenticates_at_both_endpoints() {
    let fixture = Fixture::with_polls(&code(), [tokens()]);
    let login = fixture.login_with(|login| {
        let login = preregistered(login);
        login.client_secret("planted-client-secret")
    });
    login.await.unwrap();
    for request in fixture.http.requests() {
        assert!(
            request.headers[header::AUTHORIZATION]
                .to_str()
                .unwrap()
                .starts_with("Basic ")
        );
        assert_eq!(field(&request, "client_id"), None);
    }
}

#[tokio::test]
async fn the_prompt_has_the_code_both_urls_and_the_expiry() {
    let fixture = Fixture::with_polls(&code(), [tokens()]);
    fixture.login().await.unwrap();
    let prompt = fixture.prompt();
    assert_eq!(prompt.user_code, "WDJB-MJHT");
    assert_eq!(
        prompt.verification_uri.as_str(),
        "https://as.example/device"
    );
    let complete = prompt.verification_uri_complete.as_ref().unwrap();
    assert_eq!(complete.query(), Some("user_code=WDJB-MJHT"));
    assert_eq!(prompt.expires_at, start_time() + Duration::from_secs(900));
    assert!(!prompt.is_third_party_host);
    assert!(!format!("{prompt:?}").contains("WDJB"));
}

/// An application that can only open a URL.
#[derive(Default)]
struct BrowserOnly(RecordedInteraction);

#[async_trait]
impl Interaction for BrowserOnly {
    async fn open(&self, url: &Url) {
        self.0.open(url).await;
    }
}

#[tokio::test]
async fn an_application_that_can_only_open_a_url_opens_the_one_with_the_code() {
    for (code, opened) in [
        (code(), "https://as.example/device?user_code=WDJB-MJHT"),
        (
            code_without("verification_uri_complete"),
            "https://as.example/device",
        ),
    ] {
        let mut fixture = Fixture::with_polls(&code, [tokens()]);
        let user = Arc::new(BrowserOnly::default());
        fixture.platform.interaction = user.clone();
        fixture.login().await.unwrap();
        assert_eq!(user.0.opened(), [opened.parse().unwrap()]);
    }
}

/// Counts the requests that were sent before the code was shown.
struct RequestCounter(Arc<ScriptedHttp>, Mutex<Vec<usize>>);

#[async_trait]
impl Interaction for RequestCounter {
    async fn open(&self, _: &Url) {}

    async fn show_code(&self, _: &DevicePrompt) {
        lock(&self.1).push(self.0.requests().len());
    }
}

#[tokio::test]
async fn the_prompt_is_shown_before_the_first_poll() {
    // Repeated, so that the order is not a coincidence.
    for _ in 0..20 {
        let mut fixture = Fixture::with_polls(&code(), [tokens()]);
        let user = Arc::new(RequestCounter(fixture.http.clone(), Mutex::default()));
        fixture.platform.interaction = user.clone();
        fixture.login().await.unwrap();
        assert_eq!(*lock(&user.1), [1]);
    }
}

/// A prompt that never returns.
struct NeverReturns;

#[async_trait]
impl Interaction for NeverReturns {
    async fn open(&self, _: &Url) {}

    async fn show_code(&self, _: &DevicePrompt) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_prompt_that_does_not_return_does_not_delay_the_login() {
    let mut fixture = Fixture::with_polls(&code(), [pending(), tokens()]);
    fixture.platform.interaction = Arc::new(NeverReturns);
    fixture.login().await.unwrap();
}

#[tokio::test]
async fn a_busy_port_does_not_matter_without_a_listener() {
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = busy.local_addr().unwrap().port();
    let fixture = Fixture::with_polls(&code(), [tokens()]);
    let login = fixture.login_with(|login| preregistered(login).redirect_port(port));
    login.await.unwrap();
    let login = fixture.login_with(|login| {
        let login = preregistered(login).redirect_port(port);
        login.grant(Grant::Auto)
    });
    let error = login.await.unwrap_err();
    assert!(
        matches!(error, Error::Authorization(AuthorizationError::PortBusy(_))),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_registers_for_the_device_grant_without_a_redirect_uri() {
    let script = [registered(), response(200, &code()), tokens()];
    let fixture = Fixture::with_script(script);
    fixture.login_with(unregistered).await.unwrap();
    let request = fixture.requests("/register").pop().unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["grant_types"], json!([URN, "refresh_token"]));
    assert_eq!(
        (&body["redirect_uris"], &body["response_types"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(body["token_endpoint_auth_method"], "none");
    let ClientIdentity::Registered(own) = fixture.record().await.unwrap().identity else {
        panic!()
    };
    assert_eq!(
        (own.client_id.as_str(), own.redirect_uri),
        ("registered", None)
    );
}

#[tokio::test]
async fn a_device_registration_is_reused_only_by_device_logins() {
    let again = || [response(200, &code()), tokens()];
    let browser = Ok(Response::new(StatusCode::FORBIDDEN, HeaderMap::new(), ""));
    let script = [registered()]
        .into_iter()
        .chain(again())
        .chain(again())
        .chain([browser]);
    let fixture = Fixture::with_script(script);
    fixture.login_with(unregistered).await.unwrap();
    fixture.login_with(unregistered).await.unwrap();
    assert_eq!(fixture.requests("/register").len(), 1);

    let login = fixture.login_with(|login| unregistered(login).grant(Grant::Browser));
    let error = login.await.unwrap_err();
    assert!(matches!(error, Error::Registration(_)), "{error}");
    let request = fixture.requests("/register").pop().unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
}

#[tokio::test]
async fn an_unknown_client_is_not_used_again() {
    let lost = response(401, &json!({"error": "invalid_client"}));
    let script = [
        registered(),
        response(200, &code()),
        tokens(),
        lost,
        registered(),
        response(200, &code()),
        tokens(),
    ];
    let fixture = Fixture::with_script(script);
    fixture.login_with(unregistered).await.unwrap();
    let error = fixture.login_with(unregistered).await.unwrap_err();
    assert!(error.is_unknown_client(), "{error}");
    fixture.login_with(unregistered).await.unwrap();
    assert_eq!(fixture.requests("/register").len(), 2);
}

#[tokio::test]
async fn without_the_device_endpoint_the_grant_fails_before_registration() {
    let mut server = metadata();
    server.device_authorization_endpoint = None;
    let fixture = Fixture::with_script([registered()]);
    let login = fixture.login_with(|login| unregistered(login).server_metadata(server));
    let error = login.await.unwrap_err();
    let Error::Authorization(AuthorizationError::NoGrant {
        requested: grant, ..
    }) = &error
    else {
        panic!("{error}")
    };
    assert_eq!(grant.as_deref(), Some("device_code"));
    assert_eq!(fixture.http.requests().len(), 0);
}

/// RFC 8628 §5.4: a server could lead users to a code of an attacker, so the grant has to be chosen.
#[tokio::test]
async fn the_device_grant_is_never_the_default() {
    let mut server = metadata();
    server.authorization_endpoint = None;
    let fixture = Fixture::with_polls(&code(), [tokens()]);
    let without_browser = |login| preregistered(login).server_metadata(server.clone());
    let login = fixture.login_with(|login| without_browser(login).grant(Grant::Auto));
    let error = login.await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    let Error::Authorization(AuthorizationError::NoGrant { must_be_named, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(must_be_named, Some("device_code"));
    assert_eq!(fixture.http.requests().len(), 0);
    fixture.login_with(without_browser).await.unwrap();
}

#[tokio::test]
async fn a_listed_grant_without_an_endpoint_is_not_supported() {
    let server = without_device_endpoint(&[URN]);
    for grant in [Grant::DeviceCode, Grant::Auto] {
        let fixture = Fixture::with_script([]);
        let server = server.clone();
        let login =
            fixture.login_with(|login| unregistered(login).server_metadata(server).grant(grant));
        let error = login.await.unwrap_err();
        assert!(matches!(error, Error::Authorization(_)), "{error}");
        assert_eq!(fixture.http.requests().len(), 0);
    }
}

#[tokio::test]
async fn a_cancelled_login_stores_nothing_and_stops_polling() {
    let clock = ManualClock::new(start_time());
    let fixture = Fixture::with_clock([response(200, &code()), tokens()], clock.clone());
    let mut login = Box::pin(fixture.login());
    while clock.slept().is_empty() {
        tokio::select! {
            biased;
            outcome = &mut login => panic!("{outcome:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    drop(login);
    clock.advance(Duration::from_secs(60));
    tokio::task::yield_now().await;
    assert_eq!(fixture.polls(), 0);
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn a_discovery_stored_before_the_device_grant_is_still_read() {
    let fixture = Fixture::with_script([]);
    let mut options = DiscoveryOptions::default();
    options.manual = Some(metadata());
    let server = SERVER.parse().unwrap();
    let discovery = discover(&fixture.platform, &server, &options);
    let discovery = discovery.await.unwrap();
    let mut old = serde_json::to_value(&discovery).unwrap();
    let members = old["metadata"].as_object_mut().unwrap();
    members.remove("device_authorization_endpoint").unwrap();
    let read: Discovery = serde_json::from_value(old).unwrap();
    assert_eq!(read.metadata.device_authorization_endpoint, None);
    assert_eq!(read.fresh_until, SystemTime::UNIX_EPOCH);
}
