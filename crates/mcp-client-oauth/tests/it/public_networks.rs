//! A client that takes server URLs from its users: it sends requests to public addresses only, also
//! to a URL that a user typed (MCP security best practices, Server-Side Request Forgery).

use std::{
    future::IntoFuture as _,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_client_oauth::{
    Client, ClientBuilder, Error, Grant, Remedy, RevocationOutcome, ServerUrl, Session, TokenStore,
    adapters::{
        TokenSource as _,
        rmcp::{ConnectError, cause_of, connect},
    },
    error::{HttpErrorKind, TokenRefreshError},
    flow::EndpointUrl,
    platform::{
        AddressSpace, HttpClient, HttpError, Request, ReqwestClient, Resolver, Response,
        UrlPolicyError,
    },
    store::{LoginKey, Record},
};
use mcp_oauth_testing::ManualClock;
use tokio::{net::TcpListener, task::JoinHandle};

use self::servers::{MCP, PublicServers};
use crate::support::{Fixture, TestUser, bounded, start_time};

mod servers;

/// One URL for each kind of address that is not public, the host that an error names, and its kind.
const PRIVATE: [(&str, &str, AddressSpace); 14] = [
    (
        "http://127.0.0.1:8080/mcp",
        "127.0.0.1",
        AddressSpace::Loopback,
    ),
    ("https://127.0.0.1/mcp", "127.0.0.1", AddressSpace::Loopback),
    (
        "https://2130706433/mcp",
        "127.0.0.1",
        AddressSpace::Loopback,
    ),
    ("https://[::1]/mcp", "[::1]", AddressSpace::Loopback),
    ("http://localhost/mcp", "localhost", AddressSpace::Loopback),
    ("https://0.0.0.0/mcp", "0.0.0.0", AddressSpace::Loopback),
    ("https://10.0.0.1/mcp", "10.0.0.1", AddressSpace::Private),
    (
        "https://172.16.0.1/mcp",
        "172.16.0.1",
        AddressSpace::Private,
    ),
    (
        "https://192.168.1.1/mcp",
        "192.168.1.1",
        AddressSpace::Private,
    ),
    (
        "https://100.64.0.1/mcp",
        "100.64.0.1",
        AddressSpace::Private,
    ),
    ("https://[fd00::1]/mcp", "[fd00::1]", AddressSpace::Private),
    (
        "https://[::ffff:10.0.0.1]/mcp",
        "[::ffff:a00:1]",
        AddressSpace::Private,
    ),
    (
        "https://[fe80::1]/mcp",
        "[fe80::1]",
        AddressSpace::LinkLocal,
    ),
    (
        "https://169.254.169.254/mcp",
        "169.254.169.254",
        AddressSpace::LinkLocal,
    ),
];

/// A listener in a private network, which must get no connection.
struct Canary {
    port: u16,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Canary {
    async fn start() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            // Each connection is counted before it is closed, so before its client goes on.
            while let Ok((connection, _)) = socket.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(connection);
            }
        });
        Self {
            port,
            connections,
            task,
        }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns a network in which every name leads to this machine.
    fn network() -> ReqwestClient {
        ReqwestClient::default().with_resolver(Arc::new(LoopbackResolver))
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct LoopbackResolver;

#[async_trait]
impl Resolver for LoopbackResolver {
    async fn addresses(&self, _host: &str) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))])
    }
}

/// A network in which the names are public until the first POST to the authorization server, and lead to
/// this machine from then on.
struct Rebinding {
    public: Arc<PublicServers>,
    private: ReqwestClient,
}

#[async_trait]
impl HttpClient for Rebinding {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let is_later = request.method == http::Method::POST
            && request.url.host_str() == Some(servers::AS_HOST);
        if is_later {
            self.private.send(request).await
        } else {
            self.public.send(request).await
        }
    }
}

/// Returns the builder of a client with a clock that shows `start_time()`.
fn builder(
    store: &TokenStore,
    http: impl HttpClient + 'static,
    user: &Arc<TestUser>,
) -> ClientBuilder {
    let builder = Client::builder().store(store.clone()).http_client(http);
    let clock = ManualClock::new(start_time());
    builder.clock(clock).interaction(Arc::clone(user))
}

async fn client(
    store: &TokenStore,
    http: impl HttpClient + 'static,
    user: &Arc<TestUser>,
) -> Client {
    let builder = builder(store, http, user).public_networks_only();
    builder.build().await.unwrap()
}

/// Returns the same client without the option.
async fn unlimited(store: &TokenStore, http: impl HttpClient + 'static) -> Client {
    let builder = builder(store, http, &TestUser::idle());
    builder.build().await.unwrap()
}

/// Returns the reason why the network policy refused the request that `error` is about.
fn refusal(error: &Error) -> &UrlPolicyError {
    let http = match error {
        Error::Http(error) | Error::TokenRefresh(TokenRefreshError::Http(error)) => error,
        other => panic!("{other:?}"),
    };
    match &http.cause {
        HttpErrorKind::Forbidden(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

fn not_public(host: &str, address_space: AddressSpace) -> UrlPolicyError {
    UrlPolicyError::NotPublic(host.to_owned(), address_space)
}

/// Stores a login at a public server, with an access token that expires in an hour.
async fn store_login(store: &TokenStore, key: &LoginKey) -> Record {
    let servers = Arc::new(PublicServers::default());
    let client = client(&TokenStore::memory(), servers, &servers::user()).await;
    let login = client.login(MCP).into_future();
    let mut record = bounded(login).await.unwrap().record().unwrap();
    record.discovery.server = key.server().clone();
    record.tokens.expires_at = Some(start_time() + Duration::from_secs(3600));
    save(store, key, &record).await;
    record
}

async fn save(store: &TokenStore, key: &LoginKey, record: &Record) {
    let mut lock = store.lock(key).await.unwrap();
    store.save(&mut lock, record).await.unwrap();
}

#[tokio::test]
async fn a_private_url_is_refused_before_a_request() {
    let servers = Arc::new(PublicServers::default());
    let (store, user) = (TokenStore::memory(), TestUser::idle());
    let client = client(&store, Arc::clone(&servers), &user).await;
    for (url, host, address_space) in PRIVATE {
        let refused = not_public(host, address_space);
        let login = client.login(url).await.unwrap_err();
        assert_eq!(refusal(&login), &refused, "{url}");
        assert_eq!(login.remedy(), Remedy::Reconfigure, "{url}");
        let text = login.to_string();
        assert!(
            text.contains(host) && text.contains("public addresses only"),
            "{text}"
        );
        let session = client.session(url).await.unwrap_err();
        assert_eq!(refusal(&session), &refused, "{url}");
        let stored = client.login(url).stored().await.unwrap_err();
        assert_eq!(refusal(&stored), &refused, "{url}");
        let on_demand = client.login(url).on_demand().await.unwrap_err();
        assert_eq!(refusal(&on_demand), &refused, "{url}");
    }
    // Plain http is refused at a public name and address too, and the permission for it changes nothing.
    for url in ["http://mcp.example/mcp", "http://8.8.8.8/mcp"] {
        let plain = ServerUrl::parse_allow_http(url).unwrap();
        let login = client.login(plain).await.unwrap_err();
        assert_eq!(refusal(&login), &UrlPolicyError::Scheme("http".to_owned()));
    }
    assert_eq!(servers.requests(), []);
    assert_eq!(user.opened_urls(), []);
}

#[tokio::test]
async fn every_request_of_a_public_server_is_limited_to_public_addresses() {
    let servers = Arc::new(PublicServers::default());
    let (store, user) = (TokenStore::memory(), servers::user());
    let client = client(&store, Arc::clone(&servers), &user).await;
    let session = bounded(client.login(MCP).into_future()).await.unwrap();
    assert_eq!(session.address_space(), AddressSpace::PublicOnly);
    assert!(
        session
            .get("notes")
            .send()
            .await
            .unwrap()
            .status
            .is_success()
    );
    let stream = session.get("notes").send_streaming().await.unwrap();
    assert!(stream.status().is_success());
    session.refresh().await.unwrap();
    let logout = client.logout(MCP).await.unwrap();
    assert!(
        matches!(logout.remote, RevocationOutcome::Revoked),
        "{logout:?}"
    );
    let requests = servers.requests();
    for path in [
        "/.well-known/oauth-protected-resource/mcp",
        "/register",
        "/token",
        "/mcp/notes",
        "/revoke",
    ] {
        assert!(
            requests.iter().any(|(found, _)| found == path),
            "{path}: {requests:?}"
        );
    }
    for (path, limit) in requests {
        assert_eq!(limit, AddressSpace::PublicOnly, "{path}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_a_private_address_gets_no_connection() {
    let canary = Canary::start().await;
    let url = format!("https://intranet.example:{}/mcp", canary.port);
    let store = TokenStore::memory();
    let limited = client(&store, Canary::network(), &TestUser::idle()).await;
    let error = bounded(limited.login(&url).into_future())
        .await
        .unwrap_err();
    let refused = not_public("intranet.example (127.0.0.1)", AddressSpace::Loopback);
    assert_eq!(refusal(&error), &refused);
    assert_eq!(canary.connections(), 0);
    // Without the option the user may name any server.
    let client = unlimited(&store, Canary::network()).await;
    bounded(client.login(&url).into_future()).await.unwrap_err();
    assert!(canary.connections() > 0);
}

#[tokio::test]
async fn a_name_that_changes_its_address_after_discovery_gets_no_secret() {
    for registers in [true, false] {
        let canary = Canary::start().await;
        let servers = Arc::new(PublicServers::with_port(canary.port));
        let http = Rebinding {
            public: Arc::clone(&servers),
            private: Canary::network(),
        };
        let client = client(&TokenStore::memory(), http, &servers::user()).await;
        let mut login = client.login(MCP);
        if !registers {
            login = login
                .client_id("app")
                .client_secret("planted-secret")
                .grant(Grant::ClientCredentials);
        }
        let error = bounded(login.into_future()).await.unwrap_err();
        let refused = format!("{} (127.0.0.1)", servers::AS_HOST);
        let text = error.to_string();
        assert!(
            text.contains(&format!("{refused} is a loopback address")),
            "{error:?}"
        );
        assert!(
            servers
                .requests()
                .iter()
                .any(|(path, _)| path.contains("well-known"))
        );
        assert_eq!(canary.connections(), 0);
    }
}

#[tokio::test]
async fn a_stored_login_at_a_private_address_is_refused() {
    let fixture = Fixture::start().await;
    fixture.login().await.unwrap();
    let requests = fixture.testbed.requests().len();
    let network = ReqwestClient::default();
    let client = client(&fixture.store, network, &fixture.user).await;
    let refused = not_public("127.0.0.1", AddressSpace::Loopback);
    let session = client.session(fixture.key()).await.unwrap_err();
    assert_eq!(refusal(&session), &refused);
    let login = client.login(&fixture.server).await.unwrap_err();
    assert_eq!(refusal(&login), &refused);
    // It can be removed, and its server gets no request.
    let logout = client.logout(fixture.key()).await.unwrap();
    assert!(logout.removed);
    let RevocationOutcome::Failed(revocation) = logout.remote else {
        panic!("{logout:?}");
    };
    assert_eq!(refusal(&revocation), &refused);
    fixture.assert_nothing_is_stored().await;
    assert_eq!(fixture.testbed.requests().len(), requests);
}

#[tokio::test]
async fn a_stored_login_with_a_private_token_endpoint_is_not_refreshed() {
    let canary = Canary::start().await;
    let (store, key) = (TokenStore::memory(), LoginKey::try_from(MCP).unwrap());
    let mut record = store_login(&store, &key).await;
    let endpoint = format!("https://127.0.0.1:{}/token", canary.port);
    record.discovery.address_space = AddressSpace::Loopback;
    record.discovery.metadata.token_endpoint =
        EndpointUrl::parse(&endpoint, AddressSpace::Loopback).unwrap();
    record.tokens.issued_at = start_time() - Duration::from_secs(7200);
    record.tokens.expires_at = Some(start_time() - Duration::from_secs(3600));
    save(&store, &key, &record).await;
    let limited = client(&store, ReqwestClient::default(), &TestUser::idle()).await;
    let session = limited.session(&key).await.unwrap();
    let error = bounded(session.header()).await.unwrap_err();
    assert_eq!(
        refusal(&error),
        &not_public("127.0.0.1", AddressSpace::Loopback)
    );
    assert_eq!(canary.connections(), 0);
    // Without the option the request is sent, and sent again.
    let network = ReqwestClient::default();
    let builder = builder(&store, network, &TestUser::idle());
    let clock = ManualClock::auto_advancing(start_time());
    let client = builder.clock(clock).build().await.unwrap();
    let session = client.session(&key).await.unwrap();
    bounded(session.header()).await.unwrap_err();
    assert!(canary.connections() > 0);
}

#[tokio::test]
async fn requests_of_a_session_and_of_rmcp_get_no_connection_to_a_private_address() {
    let canary = Canary::start().await;
    let url = format!("https://intranet.example:{}/mcp", canary.port);
    let (store, key) = (TokenStore::memory(), LoginKey::try_from(url).unwrap());
    let mut record = store_login(&store, &key).await;
    record.discovery.resource = key.server().as_str().into();
    save(&store, &key, &record).await;
    let limited = client(&store, Canary::network(), &TestUser::idle()).await;
    let session: Session = limited.session(&key).await.unwrap();
    let error = bounded(session.get("notes").send()).await.unwrap_err();
    let refused = not_public("intranet.example (127.0.0.1)", AddressSpace::Loopback);
    assert_eq!(refusal(&error), &refused);
    let network = Canary::network();
    let error = bounded(Box::pin(connect(session.clone(), &network, None))).await;
    let ConnectError::Mcp(error) = error.unwrap_err() else {
        panic!("no request of rmcp");
    };
    let cause = cause_of(&*error, session.server()).unwrap();
    assert_eq!(refusal(&cause), &refused);
    assert_eq!(canary.connections(), 0);
    let client = unlimited(&store, Canary::network()).await;
    let session = client.session(&key).await.unwrap();
    bounded(Box::pin(connect(session, &network, None)))
        .await
        .unwrap_err();
    assert!(canary.connections() > 0);
}
