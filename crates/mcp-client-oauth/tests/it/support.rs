//! What the files here share: a scene (testbed, person, clock, store) and a person who acts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Error, LoginOptions, ServerUrl, Session, TokenStore, login,
    platform::{
        Clock, HttpClient, HttpError, Interaction, Platform, Request, ReqwestClient, Response,
    },
    store::{LoginKey, Record},
    testing::ManualClock,
};
use mcp_oauth_testbed::{
    Builder, Peer, Recorded, Testbed,
    test_user::{Decision, Visit, decide, visit},
};
use tokio::{
    net::TcpStream,
    sync::{Mutex as AsyncMutex, Notify, mpsc},
    task::JoinHandle,
};
use url::Url;

pub(crate) use test_support::{port::dead_port, wait::bounded};

/// Where the testbed publishes the metadata of its MCP server, unless it is told otherwise.
pub(crate) const PRM: &str = "/.well-known/oauth-protected-resource/mcp";

type Walk = Pin<Box<dyn Future<Output = Vec<Visit>> + Send>>;

/// The person and the browser. What is done with a URL is done in a task of its own.
pub(crate) struct Person {
    act: Box<dyn Fn(Url) -> Walk + Send + Sync>,
    opened: Mutex<Vec<Url>>,
    looked: Notify,
    walks: Mutex<Vec<JoinHandle<Vec<Visit>>>>,
    paste: mpsc::UnboundedSender<String>,
    pasted: AsyncMutex<mpsc::UnboundedReceiver<String>>,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person")
    }
}

impl Person {
    /// Does `act` with each URL; what the browser showed is the result.
    pub(crate) fn who<F, Fut>(act: F) -> Arc<Self>
    where
        F: Fn(Url) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Visit>> + Send + 'static,
    {
        let (paste, pasted) = mpsc::unbounded_channel();
        Arc::new(Self {
            act: Box::new(move |url| Box::pin(act(url))),
            opened: Mutex::default(),
            looked: Notify::new(),
            walks: Mutex::default(),
            paste,
            pasted: AsyncMutex::new(pasted),
        })
    }

    pub(crate) fn who_approves() -> Arc<Self> {
        Self::who(approve)
    }

    pub(crate) fn who_denies() -> Arc<Self> {
        Self::who(|url| async move { browse(decide(&url, Decision::Deny).await.unwrap()).await })
    }

    /// Looks at the URL and leaves it at that.
    pub(crate) fn who_waits() -> Arc<Self> {
        Self::who(|_| async { Vec::new() })
    }

    /// Approves, and sends the browser to each URL that `tamper` makes of the callback, in order.
    pub(crate) fn who_tampers(
        tamper: impl Fn(&Url) -> Vec<Url> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let tamper = Arc::new(tamper);
        Self::who(move |url| {
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

    /// The URLs that the person was shown.
    pub(crate) fn opened(&self) -> Vec<Url> {
        lock(&self.opened).clone()
    }

    /// The URL that the person is shown next, or was shown last.
    pub(crate) async fn shown(&self) -> Url {
        loop {
            let looked = self.looked.notified();
            if let Some(url) = self.opened().pop() {
                return url;
            }
            looked.await;
        }
    }

    /// Pastes a text into the application.
    pub(crate) fn paste(&self, text: &str) {
        self.paste.send(text.to_owned()).unwrap();
    }

    /// Everything that the browser showed, once it is at rest.
    pub(crate) async fn pages(&self) -> Vec<Visit> {
        let walks = std::mem::take(&mut *lock(&self.walks));
        let mut pages = Vec::new();
        for walk in walks {
            pages.extend(bounded(walk).await.unwrap());
        }
        pages
    }
}

#[async_trait]
impl Interaction for Person {
    async fn open(&self, url: &Url) {
        let walk = tokio::spawn((self.act)(url.clone()));
        lock(&self.walks).push(walk);
        lock(&self.opened).push(url.clone());
        self.looked.notify_waiters();
    }

    async fn callback(&self) -> String {
        let next = self.pasted.lock().await.recv().await;
        next.unwrap_or_default()
    }
}

/// Approves, and follows the browser to its last page.
pub(crate) async fn approve(url: Url) -> Vec<Visit> {
    browse(decide(&url, Decision::Approve).await.unwrap()).await
}

/// Visits a page and those that it redirects to.
pub(crate) async fn browse(url: Url) -> Vec<Visit> {
    let mut pages = vec![visit(&url).await.unwrap()];
    while let Some(next) = pages.last().and_then(Visit::redirect) {
        assert!(pages.len() < 5, "the browser goes in circles");
        pages.push(visit(&next).await.unwrap());
    }
    pages
}

/// The same URL with each parameter `name` removed, and `value` in its place.
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

/// Every value of a query parameter.
pub(crate) fn parameters(url: &Url, name: &str) -> Vec<String> {
    let values = url.query_pairs().filter(|(key, _)| key == name);
    values.map(|(_, value)| value.into_owned()).collect()
}

/// The only value of a query parameter.
pub(crate) fn parameter(url: &Url, name: &str) -> String {
    let values = parameters(url, name);
    assert_eq!(values.len(), 1, "{name} in {url}");
    values[0].clone()
}

/// A testbed, and everything that a login with it needs.
pub(crate) struct Fixture {
    pub(crate) testbed: Arc<Testbed>,
    pub(crate) person: Arc<Person>,
    pub(crate) clock: ManualClock,
    pub(crate) platform: Platform,
    pub(crate) store: TokenStore,
    pub(crate) server: ServerUrl,
}

impl Fixture {
    /// Everything as it should be.
    pub(crate) async fn start() -> Self {
        Self::with(Testbed::builder()).await
    }

    pub(crate) async fn with(builder: Builder) -> Self {
        Self::of(Arc::new(builder.start().await.unwrap()))
    }

    pub(crate) fn of(testbed: Arc<Testbed>) -> Self {
        let clock = ManualClock::new(the_time());
        let person = Person::who_approves();
        Self {
            server: server_url(&testbed),
            testbed,
            platform: platform(&clock, &person),
            person,
            clock,
            store: TokenStore::memory(),
        }
    }

    /// The same scene with another person.
    pub(crate) fn for_person(mut self, person: Arc<Person>) -> Self {
        self.platform = platform(&self.clock, &person);
        self.person = person;
        self
    }

    pub(crate) fn key(&self) -> LoginKey {
        LoginKey::new(self.server.clone())
    }

    pub(crate) async fn login(&self) -> Result<Session, Error> {
        self.login_with(&LoginOptions::default()).await
    }

    pub(crate) async fn login_with(&self, options: &LoginOptions) -> Result<Session, Error> {
        bounded(Box::pin(login(
            &self.platform,
            &self.store,
            &self.server,
            options,
        )))
        .await
    }

    /// Starts a login whose person does nothing by themselves, and waits until they are asked.
    pub(crate) async fn begin(&self, options: LoginOptions) -> Waiting {
        let (platform, store) = (self.platform.clone(), self.store.clone());
        let server = self.server.clone();
        let login = tokio::spawn(async move { login(&platform, &store, &server, &options).await });
        let url = bounded(self.person.shown()).await;
        let callback = Url::parse(&parameter(&url, "redirect_uri")).unwrap();
        Waiting {
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

    /// Lets time go by, here and at the server.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.testbed.advance(time);
    }

    /// The session of the record in the store, on a platform whose sleeps end at once.
    pub(crate) async fn flying_session(&self) -> (Session, ManualClock) {
        let clock = ManualClock::auto_advancing(self.clock.now());
        let platform = platform(&clock, &self.person);
        let session = Session::open(platform, self.store.clone(), self.key())
            .await
            .unwrap();
        (session.unwrap(), clock)
    }

    /// How many requests went to an endpoint of the authorization server.
    pub(crate) fn posts(&self, path: &str) -> usize {
        self.testbed.count(Peer::AuthorizationServer, "POST", path)
    }

    /// How many token requests there were for a refresh.
    pub(crate) fn refreshes(&self) -> usize {
        self.testbed.token_requests("refresh_token")
    }

    /// The last request of this method and path.
    pub(crate) fn last(&self, method: &str, path: &str) -> Recorded {
        let requests = self.testbed.requests();
        let found = requests
            .into_iter()
            .rev()
            .find(|r| r.method == method && r.path == path);
        found.unwrap_or_else(|| panic!("no {method} {path}"))
    }

    /// Nobody was asked to log in, and nothing was sent to an endpoint that takes secrets.
    pub(crate) fn assert_nothing_was_sent(&self) {
        assert_eq!(self.person.opened(), []);
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

/// A login that waits for its person.
pub(crate) struct Waiting {
    pub(crate) login: JoinHandle<Result<Session, Error>>,
    pub(crate) url: Url,
    pub(crate) callback: Url,
}

impl Waiting {
    pub(crate) fn port(&self) -> u16 {
        self.callback.port().unwrap()
    }

    pub(crate) async fn ended(self) -> Result<Session, Error> {
        bounded(self.login).await.unwrap()
    }
}

pub(crate) fn platform(clock: &ManualClock, person: &Arc<Person>) -> Platform {
    let (clock, person) = (Arc::new(clock.clone()), Arc::clone(person));
    Platform::new(Arc::new(ReqwestClient::default()), clock, person)
}

pub(crate) fn server_url(testbed: &Testbed) -> ServerUrl {
    testbed.server_url().as_str().parse().unwrap()
}

pub(crate) fn the_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Whether nobody listens on a port of loopback any more, within a few turns of the runtime.
pub(crate) async fn is_closed(port: u16) -> bool {
    for _ in 0..100 {
        if TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// A network that waits for each answer only so long.
pub(crate) struct Impatient(pub(crate) Duration, pub(crate) Arc<dyn HttpClient>);

impl Impatient {
    pub(crate) fn platform(timeout: Duration, fixture: &Fixture) -> Platform {
        let mut platform = fixture.platform.clone();
        platform.http = Arc::new(Self(timeout, Arc::clone(&fixture.platform.http)));
        platform
    }
}

#[async_trait]
impl HttpClient for Impatient {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        request.deadline = request.deadline.min(self.0);
        self.1.send(request).await
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
