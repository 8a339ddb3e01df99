//! The device grant: with a scripted server, a clock that advances automatically and a recorded
//! interaction; and against the testbed.

use std::{
    future::IntoFuture as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_client_oauth::{
    Client, Error, Grant, Login, Remedy, Session, TokenStore,
    error::{AuthorizationError, HttpErrorKind},
    flow::{ClientIdentity, Discovery, EndpointUrl, Issuer, ServerMetadata},
    platform::{Clock, DevicePrompt, Platform, Request, Response},
    store::{LoginKey, Record},
};
use mcp_oauth_testing::{ManualClock, RecordedInteraction, ScriptedHttp};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::support::{bounded, start_time};

mod logging_in;
mod polling;
mod refused;
mod registering;
mod testbed;

const SERVER: &str = "https://mcp.example/mcp";
const URN: &str = "urn:ietf:params:oauth:grant-type:device_code";

type ScriptedResponse = Result<Response, HttpErrorKind>;

#[expect(
    clippy::unnecessary_wraps,
    reason = "an answer in a script may also be a failure"
)]
fn response(status: u16, body: &Value) -> ScriptedResponse {
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Response::new(status, HeaderMap::new(), body.to_string()))
}

fn error_response(error: &str) -> ScriptedResponse {
    response(400, &json!({"error": error}))
}

fn pending() -> ScriptedResponse {
    error_response("authorization_pending")
}

fn slow_down() -> ScriptedResponse {
    error_response("slow_down")
}

fn unreachable() -> ScriptedResponse {
    Err(HttpErrorKind::Connect("connection refused".to_owned()))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an answer in a script may also be a failure"
)]
fn unavailable(retry_after: Option<&'static str>) -> ScriptedResponse {
    let retry_after = retry_after.map(HeaderValue::from_static);
    let headers = HeaderMap::from_iter(retry_after.map(|value| (header::RETRY_AFTER, value)));
    Ok(Response::new(StatusCode::SERVICE_UNAVAILABLE, headers, ""))
}

fn tokens() -> ScriptedResponse {
    response(
        200,
        &json!({
            "access_token": "planted-access-token-1",
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": "planted-refresh-token-1",
        }),
    )
}

fn code() -> Value {
    json!({
        "device_code": "planted-device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": "https://as.example/device",
        "verification_uri_complete": "https://as.example/device?user_code=WDJB-MJHT",
        "expires_in": 900,
        "interval": 5,
    })
}

fn code_with(member: &str, value: Value) -> Value {
    let mut code = code();
    code[member] = value;
    code
}

fn code_without(member: &str) -> Value {
    let mut code = code();
    code.as_object_mut().unwrap().remove(member);
    code
}

/// Returns the metadata of an authorization server with a device endpoint.
fn metadata() -> ServerMetadata {
    let at = |path: &str| {
        let url = format!("https://as.example/{path}");
        EndpointUrl::parse(&url, mcp_client_oauth::platform::AddressSpace::Public).unwrap()
    };
    let mut metadata = ServerMetadata::manual(
        Issuer::from("https://as.example"),
        at("authorize"),
        at("token"),
    );
    metadata.registration_endpoint = Some(at("register"));
    metadata.device_authorization_endpoint = Some(at("device_authorization"));
    metadata
}

/// Returns the metadata of a server that lists these grants and has only the token endpoint.
fn without_device_endpoint(grants: &[&str]) -> ServerMetadata {
    let mut metadata = metadata();
    metadata.authorization_endpoint = None;
    metadata.registration_endpoint = None;
    metadata.device_authorization_endpoint = None;
    metadata.code_challenge_methods_supported = None;
    metadata.grant_types_supported = Some(grants.iter().map(ToString::to_string).collect());
    metadata
}

/// Configures a device login with a pre-registered client.
fn preregistered(login: Login) -> Login {
    unregistered(login).client_id("device")
}

/// Configures a device login that registers its client dynamically.
fn unregistered(login: Login) -> Login {
    login
        .grant(Grant::DeviceCode)
        .server_metadata(metadata())
        .timeout(Duration::from_secs(24 * 60 * 60))
}

/// A scripted server, and what a login with it needs.
struct Fixture {
    http: Arc<ScriptedHttp>,
    clock: ManualClock,
    user: Arc<RecordedInteraction>,
    platform: Platform,
    store: TokenStore,
}

impl Fixture {
    /// A server that responds with `code`, then with these responses; then the connection fails.
    fn with_polls(code: &Value, polls: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        Self::with_script([response(200, code)].into_iter().chain(polls))
    }

    fn with_script(script: impl IntoIterator<Item = ScriptedResponse>) -> Self {
        Self::with_clock(script, ManualClock::auto_advancing(start_time()))
    }

    fn with_clock(script: impl IntoIterator<Item = ScriptedResponse>, clock: ManualClock) -> Self {
        let http = Arc::new(ScriptedHttp::new(script));
        let user = Arc::new(RecordedInteraction::default());
        Self {
            platform: Platform::new(http.clone(), Arc::new(clock.clone()), user.clone()),
            http,
            clock,
            user,
            store: TokenStore::memory(),
        }
    }

    async fn login(&self) -> Result<Session, Error> {
        self.login_with(preregistered).await
    }

    async fn login_with(&self, configure: impl FnOnce(Login) -> Login) -> Result<Session, Error> {
        let client = Client::with_platform(self.platform.clone(), self.store.clone());
        let login = configure(client.login(SERVER)).reauthenticate();
        bounded(login.into_future()).await
    }

    async fn login_error(&self) -> AuthorizationError {
        match self.login().await.unwrap_err() {
            Error::Authorization(cause) => cause,
            other => panic!("{other}"),
        }
    }

    async fn record(&self) -> Option<Record> {
        let key = LoginKey::try_from(SERVER).unwrap();
        self.store
            .load(&key)
            .await
            .unwrap()
            .map(|(record, _)| record)
    }

    /// Returns the requests to a path, in order.
    fn requests(&self, path: &str) -> Vec<Request> {
        let mut requests = self.http.requests();
        requests.retain(|request| request.url.path() == path);
        requests
    }

    fn polls(&self) -> usize {
        self.requests("/token").len()
    }

    fn prompt(&self) -> DevicePrompt {
        let prompts = self.user.prompts();
        assert_eq!(prompts.len(), 1);
        prompts[0].clone()
    }

    /// Returns the waits between the polls, in seconds.
    fn waits(&self) -> Vec<u64> {
        self.clock.slept().iter().map(Duration::as_secs).collect()
    }

    fn elapsed(&self) -> u64 {
        let elapsed = self.clock.now().duration_since(start_time());
        elapsed.unwrap().as_secs()
    }
}

/// Returns the form fields of a request, in order.
fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn field(request: &Request, name: &str) -> Option<String> {
    let mut found = form(request).into_iter().filter(|(key, _)| key == name);
    let value = found.next().map(|(_, value)| value);
    assert_eq!(found.next(), None, "{name} is there twice");
    value
}
