//! Shared test support: a fixture (testbed, user, clock, store) and a scripted user.

use std::{
    fmt,
    future::{Future, IntoFuture as _},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, Error, Login, ServerUrl, Session, TokenStore,
    platform::{
        Clock, HttpClient, HttpError, Interaction, Platform, Request, ReqwestClient, Response,
    },
    store::{LoginKey, Record},
};
use mcp_oauth_testbed::{
    Builder, Peer, RecordedRequest, Testbed,
    test_user::{Decision, Page, decide, visit},
};
use mcp_oauth_testing::ManualClock;
use tokio::{
    net::TcpStream,
    sync::{Mutex as AsyncMutex, Notify, mpsc},
    task::JoinHandle,
};
use url::Url;

pub(crate) use test_support::{port::unused_port, wait::bounded};

/// The default path of the testbed's protected resource metadata.
pub(crate) const PRM: &str = "/.well-known/oauth-protected-resource/mcp";

type BrowserTask = Pin<Box<dyn Future<Output = Vec<Page>> + Send>>;

/// A user with a browser. Each opened URL is handled in its own task.
pub(crate) struct TestUser {
    act: Box<dyn Fn(Url) -> BrowserTask + Send + Sync>,
    opened: Mutex<Vec<Url>>,
    url_shown: Notify,
    browser_tasks: Mutex<Vec<JoinHandle<Vec<Page>>>>,
    paste: mpsc::UnboundedSender<String>,
    pasted: AsyncMutex<mpsc::UnboundedReceiver<String>>,
}

impl fmt::Debug for TestUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestUser")
    }
}

impl TestUser {
    /// Calls `act` with each URL; it returns the pages that the browser showed.
    pub(crate) fn with_action<F, Fut>(act: F) -> Arc<Self>
    where
        F: Fn(Url) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Page>> + Send + 'static,
    {
        let (paste, pasted) = mpsc::unbounded_channel();
        Arc::new(Self {
            act: Box::new(move |url| Box::pin(act(url))),
            opened: Mutex::default(),
            url_shown: Notify::new(),
            browser_tasks: Mutex::default(),
            paste,
            pasted: AsyncMutex::new(pasted),
        })
    }

    pub(crate) fn approving() -> Arc<Self> {
        Self::with_action(approve)
    }

    pub(crate) fn denying() -> Arc<Self> {
        Self::with_action(
            |url| async move { browse(decide(&url, Decision::Deny).await.unwrap()).await },
        )
    }

    /// Does nothing with the URL.
    pub(crate) fn idle() -> Arc<Self> {
        Self::with_action(|_| async { Vec::new() })
    }

    /// Approves, and sends the browser to each URL that `tamper` returns for the callback, in order.
    pub(crate) fn tampering(
        tamper: impl Fn(&Url) -> Vec<Url> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let tamper = Arc::new(tamper);
        Self::with_action(move |url| {
            let tamper = Arc::clone(&tamper);
            async move {
                let callback = decide(&url, Decision::Approve).await.unwrap();
                let mut pages = Vec::new();
                for url in tamper(&callback) {
                    pages.extend(browse(url).await);
                }
                pages
            }
        })
    }

    /// Returns the URLs that were opened.
    pub(crate) fn opened_urls(&self) -> Vec<Url> {
        lock(&self.opened).clone()
    }

    /// Returns the last opened URL, or waits for the first.
    pub(crate) async fn shown(&self) -> Url {
        loop {
            let looked = self.url_shown.notified();
            if let Some(url) = self.opened_urls().pop() {
                return url;
            }
            looked.await;
        }
    }

    /// Pastes a text into the application.
    pub(crate) fn paste(&self, text: &str) {
        self.paste.send(text.to_owned()).unwrap();
    }

    /// Returns every page that the browser showed, when all its tasks are done.
    pub(crate) async fn pages(&self) -> Vec<Page> {
        let walks = std::mem::take(&mut *lock(&self.browser_tasks));
        let mut pages = Vec::new();
        for walk in walks {
            pages.extend(bounded(walk).await.unwrap());
        }
        pages
    }
}

#[async_trait]
impl Interaction for TestUser {
    async fn open(&self, url: &Url) {
        let walk = tokio::spawn((self.act)(url.clone()));
        lock(&self.browser_tasks).push(walk);
        lock(&self.opened).push(url.clone());
        self.url_shown.notify_waiters();
    }

    async fn callback(&self) -> String {
        let next = self.pasted.lock().await.recv().await;
        next.unwrap_or_default()
    }
}

/// Approves, and follows the browser to its last page.
pub(crate) async fn approve(url: Url) -> Vec<Page> {
    browse(decide(&url, Decision::Approve).await.unwrap()).await
}

/// Visits a page and the pages that it redirects to.
pub(crate) async fn browse(url: Url) -> Vec<Page> {
    let mut pages = vec![visit(&url).await.unwrap()];
    while let Some(next) = pages.last().and_then(Page::redirect) {
        assert!(pages.len() < 5, "the redirects do not end");
        pages.push(visit(&next).await.unwrap());
    }
    pages
}

/// Returns the URL with each parameter `name` removed, and one with `value` appended.
pub(crate) fn with_parameter(url: &Url, name: &str, value: Option<&str>) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .into_owned()
        .filter(|(key, _)| key != name)
        .collect();
    let mut changed = url.clone();
    changed
        .query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(value.map(|v| (name, v)));
    changed
}

/// Returns every value of a query parameter.
pub(crate) fn parameters(url: &Url, name: &str) -> Vec<String> {
    let values = url.query_pairs().filter(|(key, _)| key == name);
    values.map(|(_, value)| value.into_owned()).collect()
}

/// Returns the only value of a query parameter.
pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let values = parameters(url, name);
    assert_eq!(values.len(), 1, "{name} in {url}");
    values[0].clone()
}

/// A testbed, and what a login with it needs.
pub(crate) struct Fixture {
    pub(crate) testbed: Arc<Testbed>,
    pub(crate) user: Arc<TestUser>,
    pub(crate) clock: ManualClock,
    pub(crate) platform: Platform,
    pub(crate) store: TokenStore,
    pub(crate) server: ServerUrl,
}

impl Fixture {
    /// Starts a fixture without faults.
    pub(crate) async fn start() -> Self {
        Self::with(Testbed::builder()).await
    }

    pub(crate) async fn with(builder: Builder) -> Self {
        Self::from_testbed(Arc::new(builder.start().await.unwrap()))
    }

    pub(crate) fn from_testbed(testbed: Arc<Testbed>) -> Self {
        let clock = ManualClock::new(start_time());
        let user = TestUser::approving();
        Self {
            server: server_url(&testbed),
            testbed,
            platform: platform(&clock, &user),
            user,
            clock,
            store: TokenStore::memory(),
        }
    }

    /// Returns the same fixture with another user.
    pub(crate) fn with_user(mut self, user: Arc<TestUser>) -> Self {
        self.platform = platform(&self.clock, &user);
        self.user = user;
        self
    }

    pub(crate) fn key(&self) -> LoginKey {
        LoginKey::from(self.server.clone())
    }

    /// Returns a new client, as another process with the same store would have: no session is open.
    pub(crate) fn client(&self) -> Client {
        Client::with_platform(self.platform.clone(), self.store.clone())
    }

    /// Logs in, also if a login is stored.
    pub(crate) async fn login(&self) -> Result<Session, Error> {
        self.login_with(|login| login).await
    }

    /// Logs in with these options, also if a login is stored.
    pub(crate) async fn login_with(
        &self,
        configure: impl FnOnce(Login) -> Login,
    ) -> Result<Session, Error> {
        let login = configure(self.client().login(&self.server)).reauthenticate();
        bounded(login.into_future()).await
    }

    /// Starts a login with a user that does nothing, and waits until the browser is opened.
    pub(crate) async fn start_login(&self, configure: impl FnOnce(Login) -> Login) -> PendingLogin {
        let login = configure(self.client().login(&self.server)).reauthenticate();
        let login = tokio::spawn(login.into_future());
        let url = bounded(self.user.shown()).await;
        let callback = Url::parse(&parameter(&url, "redirect_uri")).unwrap();
        PendingLogin {
            login,
            url,
            callback,
        }
    }

    pub(crate) async fn record(&self) -> Option<Record> {
        self.store
            .load(&self.key())
            .await
            .unwrap()
            .map(|(record, _)| record)
    }

    /// Advances the time, here and at the server.
    pub(crate) fn advance(&self, time: Duration) {
        self.clock.advance(time);
        self.testbed.advance(time);
    }

    /// Opens the stored session on a platform with a clock that advances automatically.
    pub(crate) async fn auto_advancing_session(&self) -> (Session, ManualClock) {
        let clock = ManualClock::auto_advancing(self.clock.now());
        let platform = platform(&clock, &self.user);
        let client = Client::with_platform(platform, self.store.clone());
        (client.session(self.key()).await.unwrap(), clock)
    }

    /// Returns the number of POST requests to an endpoint of the authorization server.
    pub(crate) fn posts(&self, path: &str) -> usize {
        self.testbed.count(Peer::AuthorizationServer, "POST", path)
    }

    /// Returns the number of refresh requests.
    pub(crate) fn refreshes(&self) -> usize {
        self.testbed.token_requests("refresh_token")
    }

    /// Returns the last request with this method and path.
    pub(crate) fn last(&self, method: &str, path: &str) -> RecordedRequest {
        let requests = self.testbed.requests();
        let found = requests
            .into_iter()
            .rev()
            .find(|r| r.method == method && r.path == path);
        found.unwrap_or_else(|| panic!("no {method} {path}"))
    }

    /// Asserts that the browser was not opened, and that no endpoint that takes secrets got a request.
    pub(crate) fn assert_nothing_was_sent(&self) {
        assert_eq!(self.user.opened_urls(), []);
        for path in ["/register", "/token", "/revoke"] {
            assert_eq!(self.posts(path), 0, "{path}");
        }
        assert_eq!(
            self.testbed
                .count(Peer::AuthorizationServer, "GET", "/authorize"),
            0
        );
    }

    pub(crate) async fn assert_nothing_is_stored(&self) {
        assert_eq!(self.record().await, None);
    }
}

/// A login that waits for its user.
pub(crate) struct PendingLogin {
    pub(crate) login: JoinHandle<Result<Session, Error>>,
    pub(crate) url: Url,
    pub(crate) callback: Url,
}

impl PendingLogin {
    pub(crate) fn port(&self) -> u16 {
        self.callback.port().unwrap()
    }

    pub(crate) async fn finish(self) -> Result<Session, Error> {
        bounded(self.login).await.unwrap()
    }
}

pub(crate) fn platform(clock: &ManualClock, user: &Arc<TestUser>) -> Platform {
    let (clock, user) = (Arc::new(clock.clone()), Arc::clone(user));
    Platform::new(Arc::new(ReqwestClient::default()), clock, user)
}

pub(crate) fn server_url(testbed: &Testbed) -> ServerUrl {
    testbed.server_url().as_str().parse().unwrap()
}

pub(crate) fn start_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Returns whether a loopback port is closed, within a few turns of the runtime.
pub(crate) async fn is_closed(port: u16) -> bool {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// A network with a short timeout for each response.
pub(crate) struct ShortTimeout(pub(crate) Duration, pub(crate) Arc<dyn HttpClient>);

impl ShortTimeout {
    pub(crate) fn platform(timeout: Duration, fixture: &Fixture) -> Platform {
        let mut platform = fixture.platform.clone();
        platform.http = Arc::new(Self(timeout, Arc::clone(&fixture.platform.http)));
        platform
    }
}

#[async_trait]
impl HttpClient for ShortTimeout {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        request.deadline = request.deadline.min(self.0);
        self.1.send(request).await
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
