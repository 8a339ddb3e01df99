//! How a client authenticates at third-party servers: their recorded messages, and what is
//! sent to them (RFC 6749 §2.3, §3.2.1; RFC 7009; RFC 8414 §2).

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header};
use mcp_client_oauth::{
    ClientIdentity, Discovery, Error, LoginOptions, Logout, PreregisteredClient, RevocationOutcome,
    Secret, ServerUrl, Session, TokenStore,
    error::{HttpErrorKind, TokenRefreshError},
    login, logout,
    platform::{AddressSpace, HttpClient, HttpError, Platform, Request, Response},
    proto::{
        client_auth::AuthMethod,
        dpop::DpopKey,
        endpoint::EndpointUrl,
        scope::Scope,
        server_metadata::{Issuer, ServerMetadata},
        token::{AccessToken, AuthScheme, TokenSet},
    },
    refresh,
    store::{LoginKey, Record},
    testing::{ManualClock, RecordedInteraction, ScriptedHttp},
};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::{Person, bounded, browse, parameter, platform, the_time};

mod replay;

use replay::Replay;

/// A client that the server registered for the method that this client asked for.
const POST: &str = include_str!("fixtures/servers/mcp-2.3.0-post.json");
/// A server that registers each client for Basic, whatever was asked for.
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
/// A server that registers each client without a secret.
const PUBLIC: &str = include_str!("fixtures/servers/mcp-2.3.0-none.json");
/// A client with Basic that was registered at the server beforehand.
const PREREGISTERED: &str = include_str!("fixtures/servers/mcp-2.3.0-preregistered.json");

/// A recorded server, and everything that a login with it needs.
struct Fixture {
    replay: Arc<Replay>,
    platform: Platform,
    store: TokenStore,
    server: ServerUrl,
    options: LoginOptions,
}

impl Fixture {
    fn of(transcript: &str) -> Self {
        let replay = Arc::new(Replay::of(transcript));
        let user = Person::who(|url| async move { browse(callback(&url)).await });
        let mut platform = platform(&ManualClock::new(the_time()), &user);
        platform.http = Arc::clone(&replay) as _;
        Self {
            server: replay.url.parse().unwrap(),
            replay,
            platform,
            store: TokenStore::memory(),
            options: LoginOptions::default(),
        }
    }

    fn key(&self) -> LoginKey {
        LoginKey::new(self.server.clone())
    }

    async fn try_login(&self) -> Result<Session, Error> {
        let login = login(&self.platform, &self.store, &self.server, &self.options);
        bounded(Box::pin(login)).await
    }

    async fn login(&self) -> Session {
        self.try_login().await.unwrap()
    }

    async fn logout(&self) -> Logout {
        let key = self.key();
        let outcome = logout(&self.platform, &self.store, &key);
        bounded(outcome).await.unwrap()
    }

    fn token_requests(&self) -> Vec<Sent> {
        sent(&self.replay.requests("/token"))
    }

    fn revocations(&self) -> Vec<Sent> {
        sent(&self.replay.requests("/revoke"))
    }
}

/// Approves at once, as the recorded servers do.
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

    fn naming(mut self, client_id: &str) -> Self {
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
    let ClientIdentity::Registered(own) = session.record().identity else {
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
async fn a_client_of_the_python_sdk_sends_its_secret_in_the_form() {
    let fixture = Fixture::of(POST);
    let session = fixture.login().await;
    let registration = &fixture.replay.requests("/register")[0];
    let asked: Value = serde_json::from_slice(&registration.body).unwrap();
    assert_eq!(asked["token_endpoint_auth_method"], "client_secret_post");
    session.refresh().await.unwrap();
    let (id, secret) = registered(&session);
    let expected = Sent::form(&id).with_secret(&secret);
    assert!(is_revoked(&fixture.logout().await));
    assert_eq!(fixture.token_requests(), vec![expected.clone(); 2]);
    assert_eq!(fixture.revocations(), vec![expected; 2]);
}

#[tokio::test]
async fn a_client_with_basic_is_sent_again_with_its_id_in_the_form_and_the_code_survives() {
    for (server, transcript, _) in BASIC {
        let fixture = Fixture::of(transcript);
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
        assert_eq!(fixture.token_requests(), [basic.clone(), basic.naming(&id)]);
    }
}

#[tokio::test]
async fn a_server_that_wants_the_id_in_the_form_is_refused_nothing_afterwards() {
    for (server, transcript, _) in BASIC {
        let fixture = Fixture::of(transcript);
        let session = fixture.login().await;
        session.refresh().await.unwrap();
        // The record is removed; the registration with the issuer stays.
        assert!(fixture.store.forget(&fixture.key()).await.unwrap());
        let session = fixture.login().await;
        session.refresh().await.unwrap();
        let (id, secret) = registered(&session);
        let with_id = Sent::basic(&format!("{id}:{secret}")).naming(&id);
        let [_, rest @ ..] = &fixture.token_requests()[..] else {
            panic!("{server}");
        };
        assert_eq!(rest, vec![with_id.clone(); 4], "{server}");
        assert_eq!(fixture.replay.requests("/register").len(), 1, "{server}");

        assert!(is_revoked(&fixture.logout().await), "{server}");
        let empty = with_id.clone().with_secret("");
        let pair = [with_id, empty];
        assert_eq!(fixture.revocations(), [pair.clone(), pair].concat());
        assert_eq!(fixture.replay.left(), [""; 0], "{server}");
    }
}

/// What was learned is in the record, so that another process does not ask again.
#[tokio::test]
async fn another_process_refreshes_with_one_request() {
    let fixture = Fixture::of(BASIC[0].1);
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
async fn a_client_with_basic_that_was_registered_beforehand_gets_in_too() {
    let mut fixture = Fixture::of(PREREGISTERED);
    let secret = Secret::new("s3cret".to_owned());
    fixture.options.identity.preregistered = Some(PreregisteredClient::new("mine", Some(secret)));
    let session = fixture.login().await;
    session.refresh().await.unwrap();
    let session = {
        drop(session);
        fixture.login().await
    };
    session.refresh().await.unwrap();
    // The method is not known, so the server's list decides: `client_secret_post` is its first.
    let first = Sent::form("mine").with_secret("s3cret");
    let with_id = Sent::basic("mine:s3cret").naming("mine");
    let then = vec![with_id.clone(); 4];
    assert_eq!(fixture.token_requests(), [vec![first], then].concat());
    assert!(is_revoked(&fixture.logout().await));
    assert_eq!(fixture.revocations()[0], with_id);
    assert_eq!(fixture.replay.left(), [""; 0]);
}

/// `client_secret: Field required`, of a client that has none.
#[tokio::test]
async fn a_client_without_a_secret_revokes_with_an_empty_one() {
    let fixture = Fixture::of(PUBLIC);
    let session = fixture.login().await;
    let (id, _) = registered(&session);
    assert!(is_revoked(&fixture.logout().await));
    let public = Sent::form(&id);
    assert_eq!(fixture.token_requests()[0], public);
    let pair = [public.clone(), public.with_secret("")];
    assert_eq!(fixture.revocations(), [pair.clone(), pair].concat());
}

type Answer = Result<Response, HttpErrorKind>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "a response in a script may also be a failure"
)]
fn answer(status: u16, body: &Value) -> Answer {
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Response::new(status, HeaderMap::new(), body.to_string()))
}

fn tokens() -> Answer {
    let body = json!({
        "access_token": "planted-access-token",
        "token_type": "Bearer",
        "refresh_token": "planted-refresh-token",
    });
    answer(200, &body)
}

fn refused() -> Answer {
    let words = "Missing client_id";
    answer(
        401,
        &json!({"error": "invalid_client", "error_description": words}),
    )
}

fn metadata() -> ServerMetadata {
    let at = |path: &str| {
        let url = format!("https://as.example/{path}");
        EndpointUrl::parse(&url, AddressSpace::Public).unwrap()
    };
    let issuer = Issuer::new("https://as.example");
    let mut metadata = ServerMetadata::manual(issuer, at("authorize"), at("token"));
    metadata.registration_endpoint = Some(at("register"));
    metadata.revocation_endpoint = Some(at("revoke"));
    metadata.token_endpoint_auth_methods_supported = Some(vec!["client_secret_basic".to_owned()]);
    metadata
}

/// A script of its own for each request but the check of a remembered client, which gets the redirect
/// to a login page.
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

/// A login at a server with this metadata that plays this script.
fn scripted(
    metadata: ServerMetadata,
    script: impl IntoIterator<Item = Answer>,
) -> (Fixture, Arc<ScriptedHttp>) {
    let mut fixture = Fixture::of(r#"{"url": "https://mcp.example/mcp", "exchanges": []}"#);
    let http = Arc::new(ScriptedHttp::new(script));
    fixture.platform.http = Arc::new(AfterLoginPage(Arc::clone(&http)));
    fixture.options.discovery.manual = Some(metadata);
    (fixture, http)
}

fn registration(other: &Value) -> Answer {
    let mut body = json!({
        "client_id": "c",
        "client_secret": "planted-client-secret",
        "client_secret_expires_at": 0,
    });
    let other = other.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(other);
    answer(201, &body)
}

fn paths(http: &ScriptedHttp) -> Vec<String> {
    let requests = http.requests();
    requests.iter().map(|r| r.url.path().to_owned()).collect()
}

/// The `servers_complex_auth_streamhttp` example of rmcp: no list of methods, a secret although none
/// was asked for, and no method beside it. It looks for `client_id` in the form alone.
#[tokio::test]
async fn a_secret_that_was_not_asked_for_is_sent_as_rmcps_example_takes_it() {
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
        answer(201, &registered),
        answer(
            400,
            &json!({"error": "invalid_client", "error_description": words}),
        ),
        tokens(),
    ];
    let (fixture, http) = scripted(metadata, script);
    fixture.login().await;
    let requests = http.requests();
    let asked: Value = serde_json::from_slice(&requests[0].body).unwrap();
    assert_eq!(asked["token_endpoint_auth_method"], "none");
    let basic = Sent::basic("client-7b0cd2e5:planted-client-secret");
    assert_eq!(
        sent(&requests[1..]),
        [basic.clone(), basic.naming("client-7b0cd2e5")]
    );
}

/// RFC 7591 §3.2.1: the response has what was registered. Where it has not, what was asked for is
/// taken, and a method that the server does not list is replaced by one that it does.
#[tokio::test]
async fn the_method_of_a_registration_is_the_one_that_was_returned() {
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

/// Some servers take both together for two mechanisms of authentication (RFC 6749 §5.2).
#[tokio::test]
async fn a_client_is_sent_twice_at_most_and_the_first_refusal_is_told() {
    for second in [
        refused(),
        answer(401, &json!({"error": "unauthorized_client"})),
        answer(
            400,
            &json!({"error": "invalid_request", "error_description": "two mechanisms"}),
        ),
        answer(
            400,
            &json!({
                "error": "invalid_request",
                "error_description": "client_id in the form beside client_secret_basic",
            }),
        ),
        answer(403, &json!({"message": "blocked"})),
    ] {
        let script = [registration(&json!({})), refused(), second, tokens()];
        let (fixture, http) = scripted(metadata(), script);
        let error = fixture.try_login().await.unwrap_err();
        let expected = "`invalid_client`: Missing client_id (HTTP 401)";
        assert!(error.to_string().contains(expected), "{error}");
        assert!(error.is_unknown_client());
        assert_eq!(paths(&http), ["/register", "/token", "/token"]);
    }
}

/// The grant is refused, and not the client: nothing is learned from a second request.
#[tokio::test]
async fn another_refusal_is_not_sent_again() {
    for refusal in [
        answer(400, &json!({"error": "invalid_grant"})),
        answer(400, &json!({"error": "unauthorized_client"})),
        answer(
            400,
            &json!({"error": "invalid_request", "error_description": "client_id"}),
        ),
        answer(429, &json!({"error": "invalid_client"})),
    ] {
        let script = [registration(&json!({})), refusal, tokens()];
        let (fixture, http) = scripted(metadata(), script);
        fixture.try_login().await.unwrap_err();
        assert_eq!(paths(&http), ["/register", "/token"]);
    }
}

/// A refusal of the grant after the second request says that the client is known by then.
#[tokio::test]
async fn a_code_that_a_refusal_has_used_up_is_told_and_the_next_login_gets_in() {
    let spent = answer(400, &json!({"error": "invalid_grant"}));
    let script = [registration(&json!({})), refused(), spent, tokens()];
    let (fixture, http) = scripted(metadata(), script);
    let error = fixture.try_login().await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    fixture.login().await;
    assert_eq!(paths(&http), ["/register", "/token", "/token", "/token"]);
    let with_id = Sent::basic("c:planted-client-secret").naming("c");
    assert_eq!(sent(&http.requests()[3..]), [with_id]);
}

/// A new client at the server for each try would be left behind there.
#[tokio::test]
async fn a_client_that_was_registered_in_this_login_is_kept_and_a_remembered_one_is_not() {
    let no = [refused(), refused()];
    let script = [registration(&json!({}))]
        .into_iter()
        .chain(no.clone())
        .chain(no)
        .chain([registration(&json!({"client_id": "d"})), tokens()]);
    let (fixture, http) = scripted(metadata(), script);
    fixture.try_login().await.unwrap_err();
    let issuer = Issuer::new("https://as.example");
    let kept = fixture.store.registration(&issuer).await.unwrap();
    assert_eq!(kept.unwrap().client_id, "c");
    fixture.try_login().await.unwrap_err();
    assert_eq!(fixture.store.registration(&issuer).await.unwrap(), None);
    assert_eq!(registered(&fixture.login().await).0, "d");
    let registrations = paths(&http).iter().filter(|p| *p == "/register").count();
    assert_eq!(registrations, 2);
}

fn record(method: AuthMethod, dpop: Option<DpopKey>) -> Record {
    let issuer = Issuer::new("https://as.example");
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
    let scheme = dpop
        .as_ref()
        .map_or(AuthScheme::Bearer, |_| AuthScheme::DPoP);
    let token = AccessToken::of(scheme, "old").unwrap();
    let mut tokens = TokenSet::new(token, the_time());
    tokens.refresh_token = Some(Secret::new("planted-refresh-token".to_owned()));
    let server: ServerUrl = "https://mcp.example/mcp".parse().unwrap();
    let discovery = Discovery::manual(server, metadata());
    let mut record = Record::new(discovery, identity, None::<Scope>, tokens);
    record.dpop = dpop;
    record
}

/// A network that lets time pass before each response.
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

fn slow(delay: u64, script: impl IntoIterator<Item = Answer>) -> (Platform, Arc<Slow>) {
    let clock = ManualClock::new(the_time());
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
async fn the_second_request_has_what_is_left_of_the_deadline() {
    for (delay, expected) in [(0, vec![30, 30]), (20, vec![30, 10]), (30, vec![30])] {
        let (platform, http) = slow(delay, [refused(), tokens()]);
        let outcome = refresh(&platform, &record(AuthMethod::Basic, None)).await;
        assert_eq!(outcome.is_ok(), expected.len() == 2, "{outcome:?}");
        let requests = http.script.requests();
        let deadlines = requests.iter().map(|r| r.deadline.as_secs());
        assert_eq!(deadlines.collect::<Vec<_>>(), expected);
    }
}

/// The refresh token may be spent by then, so the first refusal does not hide it.
#[tokio::test]
async fn a_second_request_that_is_lost_leaves_the_doubt_that_it_should() {
    let lost = Err(HttpErrorKind::Interrupted("cut".to_owned()));
    let (platform, _) = slow(0, [refused(), lost]);
    let error = refresh(&platform, &record(AuthMethod::Basic, None)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, TokenRefreshError::Http(_)), "{error}");

    let (platform, _) = slow(0, [refused(), answer(502, &json!({}))]);
    let error = refresh(&platform, &record(AuthMethod::Basic, None)).await;
    assert!(error.unwrap_err().to_string().contains("502"));
}

/// The same, by a session: a refusal of the refresh token after that is no revocation.
#[tokio::test]
async fn a_session_knows_that_the_second_request_may_have_spent_the_refresh_token() {
    let lost = Err(HttpErrorKind::Interrupted("cut".to_owned()));
    let spent = answer(400, &json!({"error": "invalid_grant"}));
    let (mut platform, http) = slow(0, [refused(), lost, refused(), spent]);
    platform.clock = Arc::new(ManualClock::auto_advancing(the_time()));
    let session = session(&platform, &TokenStore::memory()).await;
    let error = bounded(session.refresh()).await.unwrap_err();
    let is_interrupted = matches!(
        error,
        Error::TokenRefresh(TokenRefreshError::Interrupted { .. })
    );
    assert!(is_interrupted, "{error}");
    assert_eq!(http.script.requests().len(), 4);
}

/// A session outlives a registration that a wider one has replaced: what the server says of the old
/// client is not about the new one.
#[tokio::test]
async fn a_refusal_of_a_replaced_client_does_not_remove_the_newer_registration() {
    for (kept, is_removed) in [("d", false), ("c", true)] {
        let (platform, _) = slow(0, [refused(), refused()]);
        let store = TokenStore::memory();
        let ClientIdentity::Registered(mut own) = record(AuthMethod::Basic, None).identity else {
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
    let record = record(AuthMethod::Basic, None);
    let key = LoginKey::new(record.discovery.server.clone());
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    let session = Session::open(platform.clone(), store.clone(), key).await;
    session.unwrap().unwrap()
}

#[tokio::test]
async fn each_of_the_two_requests_has_a_proof_and_its_nonce() {
    let nonce = || {
        let mut headers = HeaderMap::new();
        headers.insert("dpop-nonce", "n-1".parse().unwrap());
        let body = json!({"error": "use_dpop_nonce"}).to_string();
        Ok(Response::new(StatusCode::BAD_REQUEST, headers, body))
    };
    let bound = json!({"access_token": "a", "token_type": "DPoP"});
    let (platform, http) = slow(0, [refused(), nonce(), answer(200, &bound)]);
    let key = DpopKey::generate().unwrap();
    let record = record(AuthMethod::Basic, Some(key));
    refresh(&platform, &record).await.unwrap();
    let requests = http.script.requests();
    let basic = Sent::basic("c:planted-client-secret");
    let with_id = basic.clone().naming("c");
    assert_eq!(sent(&requests), [basic, with_id.clone(), with_id]);
    let proofs = requests.iter().map(|r| r.headers["dpop"].clone());
    let proofs: std::collections::HashSet<_> = proofs.collect();
    assert_eq!(proofs.len(), 3);
}

#[tokio::test]
async fn a_device_login_learns_it_at_the_first_request() {
    let code = json!({
        "device_code": "planted-device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://as.example/device",
        "expires_in": 900,
    });
    let pending = || answer(400, &json!({"error": "authorization_pending"}));
    let script = [
        registration(&json!({})),
        answer(200, &code),
        refused(),
        pending(),
        pending(),
        tokens(),
    ];
    let mut metadata = metadata();
    let url = "https://as.example/device_authorization";
    metadata.device_authorization_endpoint =
        Some(EndpointUrl::parse(url, AddressSpace::Public).unwrap());
    let (mut fixture, http) = scripted(metadata, script);
    fixture.platform.clock = Arc::new(ManualClock::auto_advancing(the_time()));
    fixture.options.grant = Some("device_code".to_owned());
    fixture.login().await;
    let basic = Sent::basic("c:planted-client-secret");
    let with_id = basic.clone().naming("c");
    let polls = [basic, with_id.clone(), with_id.clone(), with_id];
    assert_eq!(sent(&http.requests()[2..]), polls);
}

/// The registration of Canaille 0.3.6: a secret for a client without one, and a list for revocation
/// that has Basic alone.
#[tokio::test]
async fn canaille_revokes_for_a_client_that_sends_its_secret_there_alone() {
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
    let revoked = || answer(200, &json!({}));
    let script = [registered, tokens(), revoked(), revoked()];
    let (fixture, http) = scripted(metadata, script);
    fixture.login().await;
    assert!(is_revoked(&fixture.logout().await));
    let basic = Sent::basic("c:planted-client-secret");
    let expected = [Sent::form("c"), basic.clone(), basic];
    assert_eq!(sent(&http.requests()[1..]), expected);
}

/// RFC 8414 §2, from the document to the request.
#[test]
fn the_list_for_revocation_is_read_and_else_that_of_the_token_endpoint_counts() {
    let read = |more: Value| {
        let mut document = json!({
            "issuer": "https://as.example",
            "token_endpoint": "https://as.example/token",
            "token_endpoint_auth_methods_supported": ["none"],
        });
        let more = more.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(more);
        let issuer = Issuer::new("https://as.example");
        let body = document.to_string();
        let parsed = ServerMetadata::parse(body.as_bytes(), &issuer, AddressSpace::Public);
        parsed.unwrap().revocation_auth_methods().unwrap().to_vec()
    };
    assert_eq!(read(json!({})), ["none"]);
    let listed = json!({"revocation_endpoint_auth_methods_supported": ["client_secret_basic"]});
    assert_eq!(read(listed), ["client_secret_basic"]);
}

#[tokio::test]
async fn only_a_missing_secret_is_sent_empty_and_only_once() {
    let missing = || {
        let words = "client_secret: Field required";
        answer(
            400,
            &json!({"error": "invalid_request", "error_description": words}),
        )
    };
    let other = || {
        answer(
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
        let public = answer(201, &json!({"client_id": "c"}));
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
async fn five_seconds_are_the_most_for_all_requests_of_a_logout() {
    let words = "client_secret: Field required";
    let missing = || {
        answer(
            400,
            &json!({"error": "invalid_request", "error_description": words}),
        )
    };
    let (platform, http) = slow(4, [missing(), missing(), missing()]);
    let store = TokenStore::memory();
    let record = record(AuthMethod::Basic, None);
    let key = LoginKey::new(record.discovery.server.clone());
    let mut lock = store.lock(&key).await.unwrap();
    store.save(&mut lock, &record).await.unwrap();
    drop(lock);
    logout(&platform, &store, &key).await.unwrap();
    let requests = http.script.requests();
    let deadlines = requests.iter().map(|r| r.deadline.as_secs());
    assert_eq!(deadlines.collect::<Vec<_>>()[..2], [5, 1]);
}

/// No transcript has a secret of the server that it was recorded at.
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
