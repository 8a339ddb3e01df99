//! How a client authenticates at third-party servers: their recorded messages, and what is
//! sent to them (RFC 6749 §2.3, §3.2.1; RFC 7009; RFC 8414 §2).

use std::{
    future::IntoFuture as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header};
use mcp_client_oauth::{
    Client, Error, Grant, Login, LoginKey, Logout, RevocationOutcome, Secret, ServerUrl, Session,
    TokenStore,
    error::{HttpErrorKind, TokenRefreshError},
    flow::{
        AccessToken, AuthMethod, ClientIdentity, DiscoveryOptions, DpopKey, EndpointUrl, Issuer,
        Scope, ServerMetadata, TokenSet, discover, refresh,
    },
    platform::{AddressSpace, HttpClient, HttpError, Platform, Request, Response},
    store::Record,
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction, ScriptedHttp};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::{TestUser, bounded, browse, parameter, platform, start_time};

mod replay;

use replay::Replay;

/// A client that the server registered with the requested authentication method.
const POST: &str = include_str!("fixtures/servers/mcp-2.3.0-post.json");
/// A server that registers each client with `client_secret_basic`, whatever was requested.
const BASIC: [(&str, &str, &str); 3] = [
    (
        "mcp 2.3.0",
        include_str!("fixtures/servers/mcp-2.3.0-basic.json"),
        "invalid_client",
    ),
    (
        "mcp 1.23.3",
        include_str!("fixtures/servers/mcp-1.23.3-basic.json"),
        "unauthorized_client",
    ),
    (
        "fastmcp 4.2.3",
        include_str!("fixtures/servers/fastmcp-4.2.3-basic.json"),
        "invalid_client",
    ),
];
/// A server that registers each client as a public client.
const PUBLIC: &str = include_str!("fixtures/servers/mcp-2.3.0-none.json");
/// A pre-registered client with `client_secret_basic`.
const PREREGISTERED: &str = include_str!("fixtures/servers/mcp-2.3.0-preregistered.json");

/// A recorded server, and what a login with it needs.
struct Fixture {
    replay: Arc<Replay>,
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
    metadata: Option<ServerMetadata>,
    configure: fn(Login) -> Login,
}

impl Fixture {
    fn from_transcript(transcript: &str) -> Self {
        let replay = Arc::new(Replay::from_transcript(transcript));
        let user = TestUser::with_action(|url| async move { browse(callback(&url)).await });
        let mut platform = platform(&ManualClock::new(start_time()), &user);
        platform.http = Arc::clone(&replay) as _;
        Self {
            server: replay.url.parse().unwrap(),
            replay,
            platform,
            store: TokenStore::memory(),
            metadata: None,
            configure: |login| login,
        }
    }

    fn key(&self) -> LoginKey {
        LoginKey::from(self.server.clone())
    }

    fn client(&self) -> Client {
        Client::with_platform(self.platform.clone(), self.store.clone())
    }

    async fn try_login(&self) -> Result<Session, Error> {
        let mut login = (self.configure)(self.client().login(&self.server)).reauthenticate();
        if let Some(metadata) = &self.metadata {
            login = login.server_metadata(metadata.clone());
        }
        bounded(login.into_future()).await
    }

    async fn login(&self) -> Session {
        self.try_login().await.unwrap()
    }

    async fn logout(&self) -> Logout {
        let client = self.client();
        bounded(client.logout(self.key())).await.unwrap()
    }

    fn token_requests(&self) -> Vec<Sent> {
        sent(&self.replay.requests("/token"))
    }

    fn revocations(&self) -> Vec<Sent> {
        sent(&self.replay.requests("/revoke"))
    }
}

/// Returns the callback of an approval, as the recorded servers send it.
fn callback(authorization_url: &Url) -> Url {
    let mut url: Url = parameter(authorization_url, "redirect_uri")
        .parse()
        .unwrap();
    let state = parameter(authorization_url, "state");
    url.query_pairs_mut()
        .append_pair("code", "planted-code")
        .append_pair("state", &state);
    url
}

/// How a request authenticated its client.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Sent {
    basic: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

impl Sent {
    fn basic(client: &str) -> Self {
        Self {
            basic: Some(client.to_owned()),
            client_id: None,
            client_secret: None,
        }
    }

    fn with_client_id(mut self, client_id: &str) -> Self {
        self.client_id = Some(client_id.to_owned());
        self
    }

    fn with_secret(mut self, secret: &str) -> Self {
        self.client_secret = Some(secret.to_owned());
        self
    }

    fn form(client_id: &str) -> Self {
        Self {
            basic: None,
            client_id: Some(client_id.to_owned()),
            client_secret: None,
        }
    }
}

fn field(request: &Request, name: &str) -> Option<String> {
    let mut values = form_urlencoded::parse(&request.body).filter(|(key, _)| key == name);
    let value = values.next().map(|(_, value)| value.into_owned());
    assert!(values.next().is_none(), "{name} stands there twice");
    value
}

fn sent(requests: &[Request]) -> Vec<Sent> {
    let basic = |request: &Request| {
        let header = request.headers.get(header::AUTHORIZATION)?;
        let pair = header.to_str().unwrap().strip_prefix("Basic ").unwrap();
        Some(String::from_utf8(STANDARD.decode(pair).unwrap()).unwrap())
    };
    let sent = |request: &Request| Sent {
        basic: basic(request),
        client_id: field(request, "client_id"),
        client_secret: field(request, "client_secret"),
    };
    requests.iter().map(sent).collect()
}

fn registered(session: &Session) -> (String, String) {
    let ClientIdentity::Registered(own) = session.record().unwrap().identity else {
        panic!("no registration");
    };
    let secret = own.client_secret.map(|secret| secret.expose().clone());
    (own.client_id, secret.unwrap_or_default())
}

fn is_revoked(outcome: &Logout) -> bool {
    matches!(outcome.remote, RevocationOutcome::Revoked)
}

/// `mcp` 2.3.0 lists `[client_secret_post, client_secret_basic]`.
#[tokio::test]
async fn a_client_of_the_python_sdk_sends_its_secret_in_the_body() {
    let fixture = Fixture::from_transcript(POST);
    let session = fixture.login().await;
    let registration = &fixture.replay.requests("/register")[0];
    let registered_as: Value = serde_json::from_slice(&registration.body).unwrap();
    assert_eq!(
        registered_as["token_endpoint_auth_method"],
        "client_secret_post"
    );
    session.refresh().await.unwrap();
    let (id, secret) = registered(&session);
    let expected = Sent::form(&id).with_secret(&secret);
    assert!(is_revoked(&fixture.logout().await));
    assert_eq!(fixture.token_requests(), vec![expected.clone(); 2]);
    assert_eq!(fixture.revocations(), vec![expected; 2]);
}

#[tokio::test]
async fn a_basic_client_is_retried_with_its_id_in_the_body_and_the_code_survives() {
    for (server, transcript, _) in BASIC {
        let fixture = Fixture::from_transcript(transcript);
        let session = fixture.login().await;
        let requests = fixture.replay.requests("/token");
        let codes = requests.iter().map(|request| field(request, "code"));
        let code = Some("planted-code".to_owned());
        assert_eq!(codes.collect::<Vec<_>>(), [code.clone(), code], "{server}");
        let verifiers = requests
            .iter()
            .map(|request| field(request, "code_verifier"));
        let verifiers: Vec<_> = verifiers.collect();
        assert_eq!(verifiers[0], verifiers[1], "{server}");
        let (id, secret) = registered(&session);
        let basic = Sent::basic(&format!("{id}:{secret}"));
        assert_eq!(
            fixture.token_requests(),
            [basic.clone(), basic.with_client_id(&id)]
        );
    }
}

#[tokio::test]
async fn later_requests_have_the_client_id_in_the_body_from_the_start() {
    for (server, transcript, _) in BASIC {
        let fixture = Fixture::from_transcript(transcript);
        let session = fixture.login().await;
        session.refresh().await.unwrap();
        // The record is removed; the registration at the issuer stays.
        assert!(fixture.store.remove(&fixture.key()).await.unwrap());
        let session = fixture.login().await;
        session.refresh().await.unwrap();
        let (id, secret) = registered(&session);
        let with_id = Sent::basic(&format!("{id}:{secret}")).with_client_id(&id);
        let [_, rest @ ..] = &fixture.token_requests()[..] else {
            panic!("{server}");
        };
        assert_eq!(rest, vec![with_id.clone(); 4], "{server}");
        assert_eq!(fixture.replay.requests("/register").len(), 1, "{server}");

        assert!(is_revoked(&fixture.logout().await), "{server}");
        let empty = with_id.clone().with_secret("");
        let pair = [with_id, empty];
        assert_eq!(fixture.revocations(), [pair.clone(), pair].concat());
        assert_eq!(fixture.replay.unsent(), [""; 0], "{server}");
    }
}

/// The method that the server accepted is in the record, so that another process needs no retry.
#[tokio::test]
async fn another_process_refreshes_without_a_retry() {
    let fixture = Fixture::from_transcript(BASIC[0].1);
    fixture.login().await;
    let (record, _) = fixture.store.load(&fixture.key()).await.unwrap().unwrap();
    let text = serde_json::to_string(&record).unwrap();
    let record: Record = serde_json::from_str(&text).unwrap();
    refresh(&fixture.platform, &record).await.unwrap();
    let [_, with_id, refresh] = &fixture.token_requests()[..] else {
        panic!()
    };
    assert_eq!(refresh, with_id);
}

#[tokio::test]
async fn a_pre_registered_basic_client_is_retried_too() {
    let mut fixture = Fixture::from_transcript(PREREGISTERED);
    fixture.configure = |login| {
        let secret = Secret::new("s3cret".to_owned());
        login.client_id("mine").client_secret(secret)
    };
    let session = fixture.login().await;
    session.refresh().await.unwrap();
    let session = {
        drop(session);
        fixture.login().await
    };
    session.refresh().await.unwrap();
    // The method is not known, so the list of the server decides: `client_secret_post` is its first.
    let first = Sent::form("mine").with_secret("s3cret");
    let with_id = Sent::basic("mine:s3cret").with_client_id("mine");
    let then = vec![with_id.clone(); 4];
    assert_eq!(fixture.token_requests(), [vec![first], then].concat());
    assert!(is_revoked(&fixture.logout().await));
    assert_eq!(fixture.revocations()[0], with_id);
    assert_eq!(fixture.replay.unsent(), [""; 0]);
}

/// The server responds `client_secret: Field required` to a public client.
#[tokio::test]
async fn a_client_without_a_secret_revokes_with_an_empty_one() {
    let fixture = Fixture::from_transcript(PUBLIC);
    let session = fixture.login().await;
    let (id, _) = registered(&session);
    assert!(is_revoked(&fixture.logout().await));
    let public = Sent::form(&id);
    assert_eq!(fixture.token_requests()[0], public);
    let pair = [public.clone(), public.with_secret("")];
    assert_eq!(fixture.revocations(), [pair.clone(), pair].concat());
}

type ScriptedResponse = Result<Response, HttpErrorKind>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "a response in a script may also be a failure"
)]
fn response(status: u16, body: &Value) -> ScriptedResponse {
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Response::new(status, HeaderMap::new(), body.to_string()))
}

fn tokens() -> ScriptedResponse {
    let body = json!({
        "access_token": "planted-access-token",
        "token_type": "Bearer",
        "refresh_token": "planted-refresh-token",
    });
    response(200, &body)
}

fn invalid_client() -> ScriptedResponse {
    let words = "Missing client_id";
    response(
        401,
        &json!({"error": "invalid_client", "error_description": words}),
    )
}

fn metadata() -> ServerMetadata {
    let at = |path: &str| {
        let url = format!("https://as.example/{path}");
        EndpointUrl::parse(&url, AddressSpace::Public).unwrap()
    };
    let issuer = Issuer::from("https://as.example");
    let mut metadata = ServerMetadata::manual(issuer, at("authorize"), at("token"));
    metadata.registration_endpoint = Some(at("register"));
    metadata.revocation_endpoint = Some(at("revoke"));
    metadata.token_endpoint_auth_methods_supported = Some(vec!["client_secret_basic".to_owned()]);
    metadata
}

/// Responds from a script, except to the check of a remembered client, which gets the redirect to a
/// login page.
#[derive(Debug)]
struct AfterLoginPage(Arc<ScriptedHttp>);

#[async_trait]
impl HttpClient for AfterLoginPage {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        if request.method == Method::GET {
            return Ok(Response::new(StatusCode::FOUND, HeaderMap::new(), ""));
        }
        self.0.send(request).await
    }
}

/// Returns a login at a server with this metadata that responds from this script.
fn scripted(
    metadata: ServerMetadata,
    script: impl IntoIterator<Item = ScriptedResponse>,
) -> (Fixture, Arc<ScriptedHttp>) {
    let mut fixture =
        Fixture::from_transcript(r#"{"url": "https://mcp.example/mcp", "exchanges": []}"#);
    let http = Arc::new(ScriptedHttp::new(script));
    fixture.platform.http = Arc::new(AfterLoginPage(Arc::clone(&http)));
    fixture.metadata = Some(metadata);
    (fixture, http)
}

fn registration(other: &Value) -> ScriptedResponse {
    let mut body = json!({
        "client_id": "c",
        "client_secret": "planted-client-secret",
        "client_secret_expires_at": 0,
    });
    let other = other.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(other);
    response(201, &body)
}

fn paths(http: &ScriptedHttp) -> Vec<String> {
    let requests = http.requests();
    requests.iter().map(|r| r.url.path().to_owned()).collect()
}

/// The `servers_complex_auth_streamhttp` example of rmcp: no list of methods, a secret although none
/// was requested, and no method with it. It reads `client_id` only from the body.
#[tokio::test]
async fn an_unrequested_secret_is_sent_as_the_rmcp_example_accepts_it() {
    let mut metadata = metadata();
    metadata.token_endpoint_auth_methods_supported = None;
    let registered = json!({
        "client_id": "client-7b0cd2e5",
        "client_secret": "planted-client-secret",
        "client_name": "mcp-client-oauth",
        "redirect_uris": ["http://127.0.0.1:41911/callback"],
    });
    let words = "invalid client id or redirect uri";
    let script = [
        response(201, &registered),
        response(
            400,
            &json!({"error": "invalid_client", "error_description": words}),
        ),
        tokens(),
    ];
    let (fixture, http) = scripted(metadata, script);
    fixture.login().await;
    let requests = http.requests();
    let registered_as: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(registered_as["token_endpoint_auth_method"], "none");
    let basic = Sent::basic("client-7b0cd2e5:planted-client-secret");
    assert_eq!(
        sent(&requests[1..]),
        [basic.clone(), basic.with_client_id("client-7b0cd2e5")]
    );
}

/// RFC 7591 §3.2.1: the response has what was registered. Where it has not, the requested method is
/// used, and a method that the server does not list is replaced by one that it lists.
#[tokio::test]
async fn the_registered_auth_method_is_the_one_in_the_response() {
    let basic = || Sent::basic("c:planted-client-secret");
    let post = || Sent::form("c").with_secret("planted-client-secret");
    for (listed, returned, expected) in [
        (vec!["client_secret_post"], json!({}), post()),
        (
            vec!["client_secret_basic", "client_secret_post"],
            json!({}),
            post(),
        ),
        (
            vec!["client_secret_post", "client_secret_basic"],
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            basic(),
        ),
        (
            vec!["client_secret_post"],
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            post(),
        ),
        (
            vec!["none", "client_secret_basic"],
            json!({"token_endpoint_auth_method": "client_secret_basic"}),
            basic(),
        ),
        (
            vec!["none", "client_secret_basic"],
            json!({"token_endpoint_auth_method": "none"}),
            Sent::form("c"),
        ),
        (vec!["none", "client_secret_basic"], json!({}), basic()),
    ] {
        let mut metadata = metadata();
        let listed: Vec<String> = listed.into_iter().map(str::to_owned).collect();
        metadata.token_endpoint_auth_methods_supported = Some(listed.clone());
        let (fixture, http) = scripted(metadata, [registration(&returned), tokens()]);
        fixture.login().await;
        assert_eq!(
            sent(&http.requests()[1..]),
            [expected],
            "{listed:?} {returned}"
        );
    }
}

/// Some servers read both as two authentication methods in one request (RFC 6749 §5.2).
#[tokio::test]
async fn client_authentication_is_tried_twice_at_most_and_the_first_error_is_reported() {
    for second in [
        invalid_client(),
        response(401, &json!({"error": "unauthorized_client"})),
        response(
            400,
            &json!({"error": "invalid_request", "error_description": "two mechanisms"}),
        ),
        response(
            400,
            &json!({
                "error": "invalid_request",
                "error_description": "client_id in the body beside client_secret_basic",
            }),
        ),
        response(403, &json!({"message": "blocked"})),
    ] {
        let script = [registration(&json!({})), invalid_client(), second, tokens()];
        let (fixture, http) = scripted(metadata(), script);
        let error = fixture.try_login().await.unwrap_err();
        let expected = "`invalid_client`: Missing client_id (HTTP 401)";
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_unknown_client());
        assert_eq!(paths(&http), ["/register", "/token", "/token"]);
    }
}

/// The server rejects the grant and not the client: a retry would not help.
#[tokio::test]
async fn other_errors_are_not_retried() {
    for refusal in [
        response(400, &json!({"error": "invalid_grant"})),
        response(400, &json!({"error": "unauthorized_client"})),
        response(
            400,
            &json!({"error": "invalid_request", "error_description": "client_id"}),
        ),
        response(429, &json!({"error": "invalid_client"})),
    ] {
        let script = [registration(&json!({})), refusal, tokens()];
        let (fixture, http) = scripted(metadata(), script);
        fixture.try_login().await.unwrap_err();
        assert_eq!(paths(&http), ["/register", "/token"]);
    }
}

/// An error about the grant after the retry shows that the client was authenticated.
#[tokio::test]
async fn a_code_used_up_by_a_rejected_request_is_reported_and_the_next_login_works() {
    let spent = response(400, &json!({"error": "invalid_grant"}));
    let script = [registration(&json!({})), invalid_client(), spent, tokens()];
    let (fixture, http) = scripted(metadata(), script);
    let error = fixture.try_login().await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    fixture.login().await;
    assert_eq!(paths(&http), ["/register", "/token", "/token", "/token"]);
    let with_id = Sent::basic("c:planted-client-secret").with_client_id("c");
    assert_eq!(sent(&http.requests()[3..]), [with_id]);
}

/// Otherwise each login would leave another client at the server.
#[tokio::test]
async fn a_rejected_client_is_kept_only_if_this_login_registered_it() {
    let no = [invalid_client(), invalid_client()];
    let script = [registration(&json!({}))]
        .into_iter()
        .chain(no.clone())
        .chain(no)
        .chain([registration(&json!({"client_id": "d"})), tokens()]);
    let (fixture, http) = scripted(metadata(), script);
    fixture.try_login().await.unwrap_err();
    let issuer = Issuer::from("https://as.example");
    let kept = fixture.store.registration(&issuer).await.unwrap();
    assert_eq!(kept.unwrap().client_id, "c");
    fixture.try_login().await.unwrap_err();
    assert_eq!(fixture.store.registration(&issuer).await.unwrap(), None);
    assert_eq!(registered(&fixture.login().await).0, "d");
    let registrations = paths(&http).iter().filter(|p| *p == "/register").count();
    assert_eq!(registrations, 2);
}

async fn record(method: AuthMethod, dpop: Option<DpopKey>) -> Record {
    let issuer = Issuer::from("https://as.example");
    let own = json!({
        "registered": {
            "issuer": issuer,
            "client_id": "c",
            "client_secret": "planted-client-secret",
            "secret_expires_at": null,
            "method": method,
            "redirect_uri": null,
            "by_hand": false,
        }
    });
    let identity: ClientIdentity = serde_json::from_value(own).unwrap();
    // As it is stored.
    let token = dpop
        .as_ref()
        .map_or(json!("old"), |_| json!({ "DPoP": "old" }));
    let token: AccessToken = serde_json::from_value(token).unwrap();
    let mut tokens = TokenSet::new(token, start_time());
    tokens.refresh_token = Some(Secret::new("planted-refresh-token".to_owned()));
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let mut options = DiscoveryOptions::default();
    options.manual = Some(metadata());
    let network = Platform::new(
        Arc::new(ScriptedHttp::default()),
        Arc::new(ManualClock::new(start_time())),
        Arc::new(RecordedInteraction::default()),
    );
    let discovery = discover(&network, &server, &options).await.unwrap();
    let mut record = Record::new(discovery, identity, None::<Scope>, tokens);
    record.dpop = dpop;
    record
}

/// A network that delays each response.
struct Slow {
    script: ScriptedHttp,
    clock: ManualClock,
    delay: Duration,
}

#[async_trait]
impl HttpClient for Slow {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.clock.advance(self.delay);
        self.script.send(request).await
    }
}

fn slow(delay: u64, script: impl IntoIterator<Item = ScriptedResponse>) -> (Platform, Arc<Slow>) {
    let clock = ManualClock::new(start_time());
    let http = Arc::new(Slow {
        script: ScriptedHttp::new(script),
        clock: clock.clone(),
        delay: Duration::from_secs(delay),
    });
    let platform = Platform::new(
        Arc::clone(&http) as _,
        Arc::new(clock),
        Arc::new(RecordedInteraction::default()),
    );
    (platform, http)
}

#[tokio::test]
async fn the_retry_has_the_rest_of_the_deadline() {
    for (delay, expected) in [(0, vec![30, 30]), (20, vec![30, 10]), (30, vec![30])] {
        let (platform, http) = slow(delay, [invalid_client(), tokens()]);
        let outcome = refresh(&platform, &record(AuthMethod::Basic, None).await).await;
        assert_eq!(outcome.is_ok(), expected.len() == 2, "{outcome:?}");
        let requests = http.script.requests();
        let deadlines = requests.iter().map(|r| r.deadline.as_secs());
        assert_eq!(deadlines.collect::<Vec<_>>(), expected);
    }
}

/// The retry may have used the refresh token, so the first error must not hide that.
#[tokio::test]
async fn a_lost_retry_is_reported_as_possibly_received() {
    let lost = Err(HttpErrorKind::Interrupted("cut".to_owned()));
    let (platform, _) = slow(0, [invalid_client(), lost]);
    let error = refresh(&platform, &record(AuthMethod::Basic, None).await).await;
    let error = error.unwrap_err();
    assert!(matches!(error, TokenRefreshError::Http(_)), "{error}");

    let (platform, _) = slow(0, [invalid_client(), response(502, &json!({}))]);
    let error = refresh(&platform, &record(AuthMethod::Basic, None).await).await;
    assert!(error.unwrap_err().to_string().contains("502"));
}

/// The same in a session: a rejected refresh token after that does not mean a revocation.
#[tokio::test]
async fn a_session_records_that_the_retry_may_have_used_the_refresh_token() {
    let lost = Err(HttpErrorKind::Interrupted("cut".to_owned()));
    let spent = response(400, &json!({"error": "invalid_grant"}));
    let (mut platform, http) = slow(0, [invalid_client(), lost, invalid_client(), spent]);
    platform.clock = Arc::new(ManualClock::auto_advancing(start_time()));
    let session = session(&platform, &TokenStore::memory()).await;
    let error = bounded(session.refresh()).await.unwrap_err();
    let is_interrupted = matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::Interrupted { .. })
    );
    assert!(is_interrupted, "{error}");
    assert_eq!(http.script.requests().len(), 4);
}

/// A session can be older than the stored registration: an error about its client is not an error
/// about the new client.
#[tokio::test]
async fn rejecting_a_replaced_client_does_not_remove_the_newer_registration() {
    for (kept, is_removed) in [("d", false), ("c", true)] {
        let (platform, _) = slow(0, [invalid_client(), invalid_client()]);
        let store = TokenStore::memory();
        let ClientIdentity::Registered(mut own) = record(AuthMethod::Basic, None).await.identity
        else {
            panic!();
        };
        own.client_id = kept.to_owned();
        store.save_registration(&own).await.unwrap();
        let session = session(&platform, &store).await;
        bounded(session.refresh()).await.unwrap_err();
        let found = store.registration(&own.issuer).await.unwrap();
        assert_eq!(found.is_none(), is_removed, "{kept}");
    }
}

async fn session(platform: &Platform, store: &TokenStore) -> Session {
    let record = record(AuthMethod::Basic, None).await;
    let key = LoginKey::from(record.discovery.server.clone());
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let client = Client::with_platform(platform.clone(), store.clone());
    client.session(key).await.unwrap()
}

#[tokio::test]
async fn both_requests_have_a_proof_and_its_nonce() {
    let nonce = || {
        let mut headers = HeaderMap::new();
        headers.insert("dpop-nonce", "n-1".parse().unwrap());
        let body = json!({"error": "use_dpop_nonce"}).to_string();
        Ok(Response::new(StatusCode::BAD_REQUEST, headers, body))
    };
    let bound = json!({"access_token": "a", "token_type": "DPoP"});
    let (platform, http) = slow(0, [invalid_client(), nonce(), response(200, &bound)]);
    let key = DpopKey::generate().unwrap();
    let record = record(AuthMethod::Basic, Some(key)).await;
    refresh(&platform, &record).await.unwrap();
    let requests = http.script.requests();
    let basic = Sent::basic("c:planted-client-secret");
    let with_id = basic.clone().with_client_id("c");
    assert_eq!(sent(&requests), [basic, with_id.clone(), with_id]);
    let proofs = requests.iter().map(|r| r.headers["dpop"].clone());
    let proofs: std::collections::HashSet<_> = proofs.collect();
    assert_eq!(proofs.len(), 3);
}

#[tokio::test]
async fn a_device_login_adapts_at_the_device_authorization_request() {
    let code = json!({
        "device_code": "planted-device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://as.example/device",
        "expires_in": 900,
    });
    let pending = || response(400, &json!({"error": "authorization_pending"}));
    let script = [
        registration(&json!({})),
        response(200, &code),
        invalid_client(),
        pending(),
        pending(),
        tokens(),
    ];
    let mut metadata = metadata();
    let url = "https://as.example/device_authorization";
    metadata.device_authorization_endpoint =
        Some(EndpointUrl::parse(url, AddressSpace::Public).unwrap());
    let (mut fixture, http) = scripted(metadata, script);
    fixture.platform.clock = Arc::new(ManualClock::auto_advancing(start_time()));
    fixture.configure = |login| login.grant(Grant::DeviceCode);
    fixture.login().await;
    let basic = Sent::basic("c:planted-client-secret");
    let with_id = basic.clone().with_client_id("c");
    let polls = [basic, with_id.clone(), with_id.clone(), with_id];
    assert_eq!(sent(&http.requests()[2..]), polls);
}

/// The registration of Canaille 0.3.6: a secret for a public client, and a list for revocation that
/// has only `client_secret_basic`.
#[tokio::test]
async fn canaille_revokes_for_a_client_that_sends_its_secret_only_to_revocation() {
    let listed = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
    let mut metadata = metadata();
    metadata.token_endpoint_auth_methods_supported = listed(&[
        "client_secret_basic",
        "private_key_jwt",
        "client_secret_post",
        "none",
    ]);
    metadata.revocation_endpoint_auth_methods_supported = listed(&["client_secret_basic"]);
    let registered = registration(&json!({
        "application_type": "native",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }));
    let revoked = || response(200, &json!({}));
    let script = [registered, tokens(), revoked(), revoked()];
    let (fixture, http) = scripted(metadata, script);
    fixture.login().await;
    assert!(is_revoked(&fixture.logout().await));
    let basic = Sent::basic("c:planted-client-secret");
    let expected = [Sent::form("c"), basic.clone(), basic];
    assert_eq!(sent(&http.requests()[1..]), expected);
}

#[tokio::test]
async fn only_a_missing_secret_is_sent_as_an_empty_one_and_only_once() {
    let missing = || {
        let words = "client_secret: Field required";
        response(
            400,
            &json!({"error": "invalid_request", "error_description": words}),
        )
    };
    let other = || {
        response(
            400,
            &json!({"error": "invalid_request", "error_description": "token"}),
        )
    };
    for (script, requests) in [
        (vec![missing(), missing(), missing(), missing()], 4),
        (vec![other(), other()], 2),
    ] {
        let mut metadata = metadata();
        metadata.token_endpoint_auth_methods_supported = Some(vec!["none".to_owned()]);
        let public = response(201, &json!({"client_id": "c"}));
        let script = [public, tokens()].into_iter().chain(script);
        let (fixture, http) = scripted(metadata, script);
        fixture.login().await;
        let outcome = fixture.logout().await;
        assert!(matches!(outcome.remote, RevocationOutcome::Failed(_)));
        assert_eq!(http.requests().len(), 2 + requests);
    }
}

/// A server that responds after four seconds has one second left for the second request.
#[tokio::test]
async fn all_requests_of_a_logout_take_five_seconds_at_most() {
    let words = "client_secret: Field required";
    let missing = || {
        response(
            400,
            &json!({"error": "invalid_request", "error_description": words}),
        )
    };
    let (platform, http) = slow(4, [missing(), missing(), missing()]);
    let store = TokenStore::memory();
    let record = record(AuthMethod::Basic, None).await;
    let key = LoginKey::from(record.discovery.server.clone());
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let client = Client::with_platform(platform, store);
    client.logout(key).await.unwrap();
    let requests = http.script.requests();
    let deadlines = requests.iter().map(|r| r.deadline.as_secs());
    assert_eq!(deadlines.collect::<Vec<_>>()[..2], [5, 1]);
}

/// No transcript contains a secret of the server at which it was recorded.
#[test]
fn transcripts_are_redacted() {
    let seen: Mutex<usize> = Mutex::default();
    let all = [
        POST,
        PUBLIC,
        PREREGISTERED,
        BASIC[0].1,
        BASIC[1].1,
        BASIC[2].1,
    ];
    for transcript in all {
        let transcript: Value = serde_json::from_str(transcript).unwrap();
        for exchange in transcript["exchanges"].as_array().unwrap() {
            let body: Value = exchange["body"]
                .as_str()
                .and_then(|body| serde_json::from_str(body).ok())
                .unwrap_or_default();
            for name in ["access_token", "refresh_token", "client_secret"] {
                if let Some(secret) = body[name].as_str() {
                    assert!(secret.starts_with("planted-"), "{secret}");
                    *seen.lock().unwrap() += 1;
                }
            }
        }
    }
    assert!(*seen.lock().unwrap() > 20);
}
