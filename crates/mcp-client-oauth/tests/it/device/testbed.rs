//! The whole flow against the testbed. Its clock and the clock of the client advance together.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    ServerUrl,
    error::DeviceResponseError,
    platform::{Interaction, ReqwestClient},
};
use mcp_oauth_testbed::{
    Builder, Fault, Peer, Testbed,
    test_user::{approve_device, deny_device},
};
use url::Url;

use super::*;
use crate::support::lock;

/// What the user does, and at which wait.
#[derive(Clone, Copy, Debug)]
enum UserAction {
    Approve,
    Deny,
    Ignore,
}

/// A user and a clock: each wait advances the time here and at the server, and the user decides
/// during the second one.
#[derive(Debug)]
struct ActingUser {
    testbed: Arc<Testbed>,
    clock: ManualClock,
    action: UserAction,
    waits: AtomicUsize,
    prompt: Mutex<Option<DevicePrompt>>,
}

impl ActingUser {
    async fn decide(&self) {
        let prompt = lock(&self.prompt).clone().unwrap();
        let (uri, code) = (&prompt.verification_uri, prompt.user_code.as_str());
        let page = match self.action {
            UserAction::Approve => approve_device(uri, code).await,
            UserAction::Deny => deny_device(uri, code).await,
            UserAction::Ignore => return,
        };
        assert_eq!(page.unwrap().status, 200);
    }
}

#[async_trait]
impl Clock for ActingUser {
    fn now(&self) -> SystemTime {
        self.clock.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.testbed.advance(duration);
        self.clock.sleep(duration).await;
        if self.waits.fetch_add(1, Ordering::Relaxed) == 1 {
            self.decide().await;
        }
    }
}

#[async_trait]
impl Interaction for ActingUser {
    async fn open(&self, url: &Url) {
        panic!("{url} is opened, but there is a code to show");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        *lock(&self.prompt) = Some(prompt.clone());
    }
}

struct TestbedFixture {
    testbed: Arc<Testbed>,
    watch: Arc<ActingUser>,
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
}

impl TestbedFixture {
    async fn start(action: UserAction) -> Self {
        Self::with(Testbed::builder(), action).await
    }

    async fn with(builder: Builder, action: UserAction) -> Self {
        let builder = builder.device_authorization(true).manual_clock(true);
        let testbed = Arc::new(builder.start().await.unwrap());
        let watch = Arc::new(ActingUser {
            testbed: testbed.clone(),
            clock: ManualClock::auto_advancing(start_time()),
            action,
            waits: AtomicUsize::default(),
            prompt: Mutex::default(),
        });
        let http = Arc::new(ReqwestClient::default());
        Self {
            platform: Platform::new(http, watch.clone(), watch.clone()),
            store: TokenStore::memory(),
            server: testbed.server_url().as_str().parse().unwrap(),
            testbed,
            watch,
        }
    }

    async fn login(&self) -> Result<Session, Error> {
        let client = Client::with_platform(self.platform.clone(), self.store.clone());
        let login = client
            .login(&self.server)
            .grant(Grant::DeviceCode)
            .timeout(Duration::from_secs(24 * 60 * 60))
            .reauthenticate();
        bounded(login.into_future()).await
    }

    async fn login_error(&self) -> AuthorizationError {
        match self.login().await.unwrap_err() {
            Error::Authorization(cause) => cause,
            other => panic!("{other}"),
        }
    }

    async fn record(&self) -> Option<Record> {
        let key = LoginKey::from(self.server.clone());
        let loaded = self.store.load(&key).await.unwrap();
        loaded.map(|(record, _)| record)
    }

    fn polls(&self) -> usize {
        self.testbed.token_requests(URN)
    }

    fn waits(&self) -> Vec<u64> {
        let slept = self.watch.clock.slept();
        slept.iter().map(Duration::as_secs).collect()
    }
}

#[tokio::test]
async fn a_device_login_is_stored_authorizes_a_request_and_can_be_refreshed() {
    let fixture = TestbedFixture::start(UserAction::Approve).await;
    let session = fixture.login().await.unwrap();
    assert_eq!((fixture.polls(), fixture.waits()), (2, vec![5, 5]));
    let record = fixture.record().await.unwrap();
    assert_eq!(session.record().as_ref(), Some(&record));
    assert!(record.tokens.refresh_token.is_some());
    assert_eq!(
        record.tokens.scope.as_ref().unwrap().to_string(),
        "notes:read"
    );
    let prompt = lock(&fixture.watch.prompt).clone().unwrap();
    assert!(!prompt.is_third_party_host);
    assert_eq!(prompt.expires_at, start_time() + Duration::from_secs(600));

    // The client was registered dynamically, for this grant and without a redirect URI.
    assert_eq!(
        fixture
            .testbed
            .count(Peer::AuthorizationServer, "POST", "/register"),
        1
    );
    assert_eq!(
        fixture
            .testbed
            .count(Peer::AuthorizationServer, "GET", "/authorize"),
        0
    );

    let life = record
        .tokens
        .expires_at
        .unwrap()
        .duration_since(record.tokens.issued_at)
        .unwrap();
    fixture.watch.clock.advance(life);
    fixture.testbed.advance(life);
    let response = bounded(session.get("notes").send()).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(fixture.testbed.token_requests("refresh_token"), 1);
    assert_ne!(
        fixture.record().await.unwrap().tokens.access_token,
        record.tokens.access_token
    );
}

#[tokio::test]
async fn a_second_login_uses_the_registration_of_the_first() {
    let fixture = TestbedFixture::start(UserAction::Approve).await;
    fixture.login().await.unwrap();
    fixture.watch.waits.store(0, Ordering::Relaxed);
    fixture.login().await.unwrap();
    assert_eq!(
        fixture
            .testbed
            .count(Peer::AuthorizationServer, "POST", "/register"),
        1
    );
}

#[tokio::test]
async fn a_denial_ends_the_login() {
    let fixture = TestbedFixture::start(UserAction::Deny).await;
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::Denied(_)), "{cause}");
    assert_eq!(fixture.polls(), 2);
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn an_unused_code_expires() {
    let fixture = TestbedFixture::start(UserAction::Ignore).await;
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.polls(), 600 / 5 - 1);
    assert_eq!(fixture.record().await, None);
}

#[tokio::test]
async fn repeated_slow_down_ends_when_the_code_expires() {
    let fixture = TestbedFixture::start(UserAction::Approve).await;
    fixture.testbed.set_fault(Fault::AlwaysSlowDown);
    let cause = fixture.login_error().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert!(fixture.polls() < 20, "{}", fixture.polls());
}

#[tokio::test]
async fn polling_continues_after_a_server_error() {
    let fixture = TestbedFixture::start(UserAction::Approve).await;
    fixture.testbed.set_fault(Fault::Status {
        path: "/token".to_owned(),
        status: 503,
        body: String::new(),
        headers: Vec::new(),
        times: Some(3),
    });
    fixture.login().await.unwrap();
    assert_eq!(fixture.waits(), [5, 10, 20, 40]);
}

#[tokio::test]
async fn the_content_type_has_no_charset() {
    let fixture = TestbedFixture::start(UserAction::Approve).await;
    fixture.testbed.set_fault(Fault::DeviceRejectsCharset);
    fixture.login().await.unwrap();
}

#[tokio::test]
async fn lifetimes_and_intervals_from_the_server_are_bounded() {
    for (member, value, first_wait, lifetime) in [
        ("interval", json!(0), 1, 600),
        ("interval", json!(-1), 1, 600),
        ("interval", json!(1e9), 60, 600),
        ("interval", json!("5"), 5, 600),
        ("expires_in", json!(1e12), 5, 1800),
    ] {
        let fault = Fault::DeviceField(member.to_owned(), value.clone());
        let fixture =
            TestbedFixture::with(Testbed::builder().fault(fault), UserAction::Approve).await;
        fixture.login().await.unwrap();
        let prompt = lock(&fixture.watch.prompt).clone().unwrap();
        assert_eq!(
            prompt.expires_at,
            start_time() + Duration::from_secs(lifetime)
        );
        assert_eq!(fixture.waits()[0], first_wait, "{member} {value}");
    }
    for member in ["interval", "expires_in"] {
        let fault = Fault::DeviceWithout(member.to_owned());
        let fixture =
            TestbedFixture::with(Testbed::builder().fault(fault), UserAction::Approve).await;
        fixture.login().await.unwrap();
        assert_eq!(fixture.waits()[0], 5, "{member}");
    }
}

#[tokio::test]
async fn unsafe_urls_and_codes_are_never_shown_to_the_user() {
    for (member, value) in [
        ("verification_uri", json!("javascript:alert(1)")),
        ("verification_uri", json!("http://as.example/device")),
        ("verification_uri_complete", json!("file:///etc/passwd")),
        ("user_code", json!("\u{202e}".repeat(10 * 1024))),
    ] {
        let fixture = TestbedFixture::start(UserAction::Approve).await;
        fixture
            .testbed
            .set_fault(Fault::DeviceField(member.to_owned(), value));
        let AuthorizationError::Device { url, cause } = fixture.login_error().await else {
            panic!("{member}")
        };
        assert_eq!(url.path(), "/device_authorization");
        let unsafe_uri = matches!(cause, DeviceResponseError::UnsafeUri { .. });
        assert_eq!(unsafe_uri, member != "user_code", "{cause}");
        assert_eq!(*lock(&fixture.watch.prompt), None);
        assert_eq!(fixture.polls(), 0);
    }
}

#[tokio::test]
async fn a_loopback_server_may_name_a_third_party_host_and_the_prompt_shows_it() {
    let fixture = TestbedFixture::start(UserAction::Ignore).await;
    let elsewhere = json!("https://login.example/device");
    fixture
        .testbed
        .set_fault(Fault::DeviceField("verification_uri".to_owned(), elsewhere));
    fixture.login_error().await;
    assert!(
        lock(&fixture.watch.prompt)
            .clone()
            .unwrap()
            .is_third_party_host
    );
}

#[tokio::test]
async fn a_server_without_the_device_grant_gets_no_registration() {
    let testbed = Arc::new(Testbed::start().await.unwrap());
    let mut fixture = TestbedFixture::start(UserAction::Approve).await;
    fixture.server = testbed.server_url().as_str().parse().unwrap();
    let cause = fixture.login_error().await;
    assert!(
        matches!(cause, AuthorizationError::NoGrant { .. }),
        "{cause}"
    );
    assert_eq!(
        testbed.count(Peer::AuthorizationServer, "POST", "/register"),
        0
    );
}
