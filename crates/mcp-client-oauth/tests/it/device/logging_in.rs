//! A device login from end to end: who we are, what is sent, what is kept.

use std::{net::TcpListener, sync::Mutex};

use async_trait::async_trait;
use mcp_client_oauth::{
    Secret,
    grant::{self, RedirectTarget},
    platform::Interaction,
    refresh,
};
use url::Url;

use super::*;
use crate::support::lock;

fn registered() -> Answer {
    response(
        201,
        &json!({"client_id": "registered", "redirect_uris": []}),
    )
}

/// A login whose client registers itself.
fn unregistered() -> LoginOptions {
    let mut options = options();
    options.identity.preregistered = None;
    options
}

#[tokio::test]
async fn a_login_brings_tokens_that_are_stored_and_can_be_refreshed() {
    let next = json!({"access_token": "planted-access-token-2", "token_type": "Bearer"});
    let fixture = Fixture::of(&code(), [pending(), tokens(), response(200, &next)]);
    let session = fixture.login().await.unwrap();
    let record = fixture.record().await.unwrap();
    assert_eq!(record, session.record());
    assert_eq!(record.identity.client_id(), "device");
    assert_eq!(
        record.tokens.issued_at,
        the_time() + Duration::from_secs(10)
    );
    assert_eq!(
        fixture.person.opened(),
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
async fn each_request_says_what_the_specifications_ask_for_and_no_more() {
    let fixture = Fixture::of(&code(), [tokens()]);
    let mut options = options();
    options.scope = Some("notes:read notes:write".parse().unwrap());
    fixture.login_with(&options).await.unwrap();
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
        // Without a charset, which some endpoints refuse.
        assert_eq!(
            request.headers[header::CONTENT_TYPE],
            "application/x-www-form-urlencoded"
        );
        assert!(!request.headers.contains_key(header::AUTHORIZATION));
    }
}

#[tokio::test]
async fn a_confidential_client_proves_itself_at_both_endpoints() {
    let fixture = Fixture::of(&code(), [tokens()]);
    let mut options = options();
    let secret = Secret::new("planted-client-secret".to_owned());
    options.identity.preregistered = Some(PreregisteredClient::new("device", Some(secret)));
    fixture.login_with(&options).await.unwrap();
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
async fn the_person_sees_the_code_both_places_and_when_it_ends() {
    let fixture = Fixture::of(&code(), [tokens()]);
    fixture.login().await.unwrap();
    let prompt = fixture.prompt();
    assert_eq!(prompt.user_code, "WDJB-MJHT");
    assert_eq!(
        prompt.verification_uri.as_str(),
        "https://as.example/device"
    );
    let complete = prompt.verification_uri_complete.as_ref().unwrap();
    assert_eq!(complete.query(), Some("user_code=WDJB-MJHT"));
    assert_eq!(prompt.expires_at, the_time() + Duration::from_secs(900));
    assert!(!prompt.is_elsewhere);
    assert!(!format!("{prompt:?}").contains("WDJB"));
}

/// An application that knows how to open a URL, and nothing else.
#[derive(Default)]
struct Opens(RecordedInteraction);

#[async_trait]
impl Interaction for Opens {
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
        let mut fixture = Fixture::of(&code, [tokens()]);
        let person = Arc::new(Opens::default());
        fixture.platform = fixture.platform.with_interaction(person.clone());
        fixture.login().await.unwrap();
        assert_eq!(person.0.opened(), [opened.parse().unwrap()]);
    }
}

/// A person who counts the requests that were sent before they were shown the code.
struct Counts(Arc<ScriptedHttp>, Mutex<Vec<usize>>);

#[async_trait]
impl Interaction for Counts {
    async fn open(&self, _: &Url) {}

    async fn show_code(&self, _: &DevicePrompt) {
        lock(&self.1).push(self.0.requests().len());
    }
}

#[tokio::test]
async fn the_person_is_told_before_anything_is_asked() {
    // Often enough that no order is luck.
    for _ in 0..20 {
        let mut fixture = Fixture::of(&code(), [tokens()]);
        let person = Arc::new(Counts(fixture.http.clone(), Mutex::default()));
        fixture.platform = fixture.platform.with_interaction(person.clone());
        fixture.login().await.unwrap();
        assert_eq!(*lock(&person.1), [1]);
    }
}

/// A person who never takes their eyes off the prompt.
struct Stares;

#[async_trait]
impl Interaction for Stares {
    async fn open(&self, _: &Url) {}

    async fn show_code(&self, _: &DevicePrompt) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_prompt_that_stays_does_not_hold_the_login_up() {
    let mut fixture = Fixture::of(&code(), [pending(), tokens()]);
    fixture.platform = fixture.platform.with_interaction(Arc::new(Stares));
    fixture.login().await.unwrap();
}

#[tokio::test]
async fn a_busy_port_does_not_matter_for_nobody_listens() {
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut options = options();
    options.redirect = RedirectTarget::Port(busy.local_addr().unwrap().port());
    let fixture = Fixture::of(&code(), [tokens()]);
    fixture.login_with(&options).await.unwrap();
    options.grant = None;
    let error = fixture.login_with(&options).await.unwrap_err();
    assert!(
        matches!(error, Error::Authorization(AuthorizationError::PortBusy(_))),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_registers_for_the_device_grant_without_a_redirect() {
    let script = [registered(), response(200, &code()), tokens()];
    let fixture = Fixture::playing(script);
    fixture.login_with(&unregistered()).await.unwrap();
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
async fn a_registration_is_used_again_by_a_device_login_and_by_no_other() {
    let again = || [response(200, &code()), tokens()];
    let browser = Ok(Response::new(StatusCode::FORBIDDEN, HeaderMap::new(), ""));
    let script = [registered()]
        .into_iter()
        .chain(again())
        .chain(again())
        .chain([browser]);
    let fixture = Fixture::playing(script);
    fixture.login_with(&unregistered()).await.unwrap();
    fixture.login_with(&unregistered()).await.unwrap();
    assert_eq!(fixture.requests("/register").len(), 1);

    let mut options = unregistered();
    options.grant = Some("authorization_code".to_owned());
    let error = fixture.login_with(&options).await.unwrap_err();
    assert!(matches!(error, Error::Registration(_)), "{error}");
    let request = fixture.requests("/register").pop().unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        body["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
}

#[tokio::test]
async fn a_registered_client_that_the_server_has_forgotten_is_not_used_again() {
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
    let fixture = Fixture::playing(script);
    fixture.login_with(&unregistered()).await.unwrap();
    let error = fixture.login_with(&unregistered()).await.unwrap_err();
    assert!(error.is_unknown_client(), "{error}");
    fixture.login_with(&unregistered()).await.unwrap();
    assert_eq!(fixture.requests("/register").len(), 2);
}

#[tokio::test]
async fn without_its_endpoint_the_grant_is_not_offered_and_nobody_is_registered() {
    let mut options = unregistered();
    options
        .discovery
        .manual
        .as_mut()
        .unwrap()
        .device_authorization_endpoint = None;
    let fixture = Fixture::playing([registered()]);
    let error = fixture.login_with(&options).await.unwrap_err();
    let Error::Authorization(AuthorizationError::NoGrant { wanted, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!(wanted.as_deref(), Some("device_code"));
    assert_eq!(fixture.http.requests().len(), 0);
}

/// H179: a server that leaves no other way is not obeyed.
#[tokio::test]
async fn it_is_never_taken_unasked() {
    let mut server = metadata();
    let name = |server: &ServerMetadata| grant::select_for_server(server, None).unwrap().name();
    assert_eq!(name(&server), "authorization_code");
    server.authorization_endpoint = None;
    let fixture = Fixture::of(&code(), [tokens()]);
    let mut options = options();
    options.discovery.manual = Some(server);
    options.grant = None;
    let error = fixture.login_with(&options).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reconfigure);
    let Error::Authorization(AuthorizationError::NoGrant { must_be_named, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(must_be_named, Some("device_code"));
    assert_eq!(fixture.http.requests().len(), 0);
    options.grant = must_be_named.map(str::to_owned);
    fixture.login_with(&options).await.unwrap();
}

#[tokio::test]
async fn a_listed_grant_without_an_endpoint_is_none() {
    let document = json!({
        "issuer": "https://as.example",
        "token_endpoint": "https://as.example/token",
        "grant_types_supported": [URN],
    });
    let issuer = Issuer::new("https://as.example");
    let reach = mcp_client_oauth::platform::AddressSpace::Public;
    let server = ServerMetadata::parse(document.to_string().as_bytes(), &issuer, reach).unwrap();
    assert!(grant::select_for_server(&server, Some("device_code")).is_err());
    assert!(grant::select_for_server(&server, None).is_err());
}

#[tokio::test]
async fn a_login_that_is_given_up_leaves_nothing_and_asks_no_more() {
    let clock = ManualClock::new(the_time());
    let fixture = Fixture::with([response(200, &code()), tokens()], clock.clone());
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
async fn what_was_discovered_before_there_was_a_device_grant_is_still_read() {
    let server = SERVER.parse().unwrap();
    let discovery = Discovery::manual(server, metadata());
    let mut old = serde_json::to_value(&discovery).unwrap();
    let members = old["metadata"].as_object_mut().unwrap();
    members.remove("device_authorization_endpoint").unwrap();
    let read: Discovery = serde_json::from_value(old).unwrap();
    assert_eq!(read.metadata.device_authorization_endpoint, None);
    assert_eq!(read.fresh_until, SystemTime::UNIX_EPOCH);
}
