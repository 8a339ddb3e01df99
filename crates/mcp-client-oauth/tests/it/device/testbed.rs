//! The whole way against the testbed, whose clock goes with ours.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Authorized, ServerUrl,
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

/// What the person does, at which of the waits.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Approves,
    Denies,
    Nothing,
}

/// A person with a watch: each wait moves the time here and at the server, and at the second one
/// the person decides.
#[derive(Debug)]
struct Watch {
    testbed: Arc<Testbed>,
    clock: ManualClock,
    deed: Deed,
    waits: AtomicUsize,
    prompt: Mutex<Option<DevicePrompt>>,
}

impl Watch {
    async fn decide(&self) {
        let prompt = lock(&self.prompt).clone().unwrap();
        let (uri, code) = (&prompt.verification_uri, prompt.user_code.as_str());
        let page = match self.deed {
            Deed::Approves => approve_device(uri, code).await,
            Deed::Denies => deny_device(uri, code).await,
            Deed::Nothing => return,
        };
        assert_eq!(page.unwrap().status, 200);
    }
}

#[async_trait]
impl Clock for Watch {
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
impl Interaction for Watch {
    async fn open(&self, url: &Url) {
        panic!("{url} is opened, but there is a code to show");
    }

    async fn show_code(&self, prompt: &DevicePrompt) {
        *lock(&self.prompt) = Some(prompt.clone());
    }
}

struct Real {
    testbed: Arc<Testbed>,
    watch: Arc<Watch>,
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
}

impl Real {
    async fn start(deed: Deed) -> Self {
        Self::with(Testbed::builder(), deed).await
    }

    async fn with(builder: Builder, deed: Deed) -> Self {
        let builder = builder.device_authorization(true).clock_stands_still(true);
        let testbed = Arc::new(builder.start().await.unwrap());
        let watch = Arc::new(Watch {
            testbed: testbed.clone(),
            clock: ManualClock::auto_advancing(the_time()),
            deed,
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
        let mut options = LoginOptions::default();
        options.grant = Some("device_code".to_owned());
        options.timeout = Duration::from_secs(24 * 60 * 60);
        let login = login(&self.platform, &self.store, &self.server, &options);
        bounded(Box::pin(login)).await
    }

    async fn refused(&self) -> AuthorizationError {
        match self.login().await.unwrap_err() {
            Error::Authorization(cause) => cause,
            other => panic!("{other}"),
        }
    }

    async fn stored(&self) -> Option<Record> {
        let key = LoginKey::new(self.server.clone());
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
async fn a_device_login_brings_a_record_a_request_and_a_refresh() {
    let fixture = Real::start(Deed::Approves).await;
    let session = fixture.login().await.unwrap();
    assert_eq!((fixture.polls(), fixture.waits()), (2, vec![5, 5]));
    let record = fixture.stored().await.unwrap();
    assert_eq!(record, session.record());
    assert!(record.tokens.refresh_token.is_some());
    assert_eq!(
        record.tokens.scope.as_ref().unwrap().to_string(),
        "notes:read"
    );
    let prompt = lock(&fixture.watch.prompt).clone().unwrap();
    assert!(!prompt.is_elsewhere);
    assert_eq!(prompt.expires_at, the_time() + Duration::from_secs(600));

    // The client registered itself, for this grant and without a redirect.
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

    let life = record.tokens.lifetime().unwrap();
    fixture.watch.clock.advance(life);
    fixture.testbed.advance(life);
    let authorized = Authorized::new(fixture.platform.clone(), Arc::new(session));
    let notes = format!("{}/notes", fixture.server).parse().unwrap();
    let response = bounded(authorized.get(notes).send()).await.unwrap();
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(fixture.testbed.token_requests("refresh_token"), 1);
    assert_ne!(
        fixture.stored().await.unwrap().tokens.access_token,
        record.tokens.access_token
    );
}

#[tokio::test]
async fn a_second_login_uses_the_registration_of_the_first() {
    let fixture = Real::start(Deed::Approves).await;
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
async fn a_person_who_denies_is_believed() {
    let fixture = Real::start(Deed::Denies).await;
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::Denied(_)), "{cause}");
    assert_eq!(fixture.polls(), 2);
    assert_eq!(fixture.stored().await, None);
}

#[tokio::test]
async fn a_person_who_does_nothing_lets_the_code_die() {
    let fixture = Real::start(Deed::Nothing).await;
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert_eq!(fixture.polls(), 600 / 5 - 1);
    assert_eq!(fixture.stored().await, None);
}

#[tokio::test]
async fn slow_down_for_ever_ends_with_the_code() {
    let fixture = Real::start(Deed::Approves).await;
    fixture.testbed.set_fault(Fault::SlowDownForEver);
    let cause = fixture.refused().await;
    assert!(matches!(cause, AuthorizationError::CodeExpired), "{cause}");
    assert!(fixture.polls() < 20, "{}", fixture.polls());
}

#[tokio::test]
async fn a_server_that_fails_while_it_is_polled_is_asked_again() {
    let fixture = Real::start(Deed::Approves).await;
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
async fn the_content_type_has_no_charset_that_an_endpoint_could_refuse() {
    let fixture = Real::start(Deed::Approves).await;
    fixture.testbed.set_fault(Fault::DeviceRefusesCharset);
    fixture.login().await.unwrap();
}

#[tokio::test]
async fn what_a_server_says_of_time_is_bounded() {
    for (member, value, first_wait, lifetime) in [
        ("interval", json!(0), 1, 600),
        ("interval", json!(-1), 1, 600),
        ("interval", json!(1e9), 60, 600),
        ("interval", json!("5"), 5, 600),
        ("expires_in", json!(1e12), 5, 1800),
    ] {
        let fault = Fault::DeviceField(member.to_owned(), value.clone());
        let fixture = Real::with(Testbed::builder().fault(fault), Deed::Approves).await;
        fixture.login().await.unwrap();
        let prompt = lock(&fixture.watch.prompt).clone().unwrap();
        assert_eq!(
            prompt.expires_at,
            the_time() + Duration::from_secs(lifetime)
        );
        assert_eq!(fixture.waits()[0], first_wait, "{member} {value}");
    }
    for member in ["interval", "expires_in"] {
        let fault = Fault::DeviceWithout(member.to_owned());
        let fixture = Real::with(Testbed::builder().fault(fault), Deed::Approves).await;
        fixture.login().await.unwrap();
        assert_eq!(fixture.waits()[0], 5, "{member}");
    }
}

#[tokio::test]
async fn what_a_person_must_not_see_is_never_shown() {
    for (member, value) in [
        ("verification_uri", json!("javascript:alert(1)")),
        ("verification_uri", json!("http://as.example/device")),
        ("verification_uri_complete", json!("file:///etc/passwd")),
        ("user_code", json!("\u{202e}".repeat(10 * 1024))),
    ] {
        let fixture = Real::start(Deed::Approves).await;
        fixture
            .testbed
            .set_fault(Fault::DeviceField(member.to_owned(), value));
        let AuthorizationError::Device { url, cause } = fixture.refused().await else {
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
async fn a_server_on_loopback_may_send_the_person_elsewhere_and_they_are_told() {
    let fixture = Real::start(Deed::Nothing).await;
    let elsewhere = json!("https://login.example/device");
    fixture
        .testbed
        .set_fault(Fault::DeviceField("verification_uri".to_owned(), elsewhere));
    fixture.refused().await;
    assert!(lock(&fixture.watch.prompt).clone().unwrap().is_elsewhere);
}

#[tokio::test]
async fn a_server_without_the_grant_is_not_asked_and_registers_nobody() {
    let testbed = Arc::new(Testbed::start().await.unwrap());
    let mut fixture = Real::start(Deed::Approves).await;
    fixture.server = testbed.server_url().as_str().parse().unwrap();
    let cause = fixture.refused().await;
    assert!(
        matches!(cause, AuthorizationError::NoGrant { .. }),
        "{cause}"
    );
    assert_eq!(
        testbed.count(Peer::AuthorizationServer, "POST", "/register"),
        0
    );
}
