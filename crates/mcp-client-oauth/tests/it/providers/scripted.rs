//! Servers that respond as hosted ones do, by URL, and a login at them.

use std::{
    collections::HashMap,
    future::IntoFuture as _,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, StatusCode};
use mcp_client_oauth::{
    Client, Error, Login, ServerUrl, Session, TokenStore,
    flow::{Discovery, DiscoveryOptions, discover},
    platform::{HttpClient, HttpError, Platform, Request, Response},
};
use mcp_oauth_testing::ManualClock;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use crate::support::{TestUser, bounded, browse, lock, parameter, start_time};

/// A response to one method and URL.
type Route = (u16, Vec<(String, String)>, String);

/// The servers, and what was sent to them. A URL without a route gets 404; a `POST` to the MCP server
/// gets 401 with its challenge.
#[derive(Debug)]
pub(crate) struct Servers {
    server: ServerUrl,
    challenge: String,
    routes: Mutex<HashMap<String, Route>>,
    sent: Mutex<Vec<Request>>,
    /// The `iss` of the callback.
    iss: Mutex<Option<String>>,
}

impl Servers {
    /// An MCP server that responds to a request without a token with HTTP 401 and `challenge`.
    pub(crate) fn at(server: &str, challenge: &str) -> Self {
        Self {
            server: server.parse().unwrap(),
            challenge: challenge.to_owned(),
            routes: Mutex::default(),
            sent: Mutex::default(),
            iss: Mutex::default(),
        }
    }

    /// With a JSON document at `url`.
    pub(crate) fn document(self, url: &str, document: &Value) -> Self {
        self.route(&format!("GET {url}"), 200, &[], &document.to_string())
    }

    /// With a response to `POST url`.
    pub(crate) fn post(self, url: &str, status: u16, body: &Value) -> Self {
        self.route(&format!("POST {url}"), status, &[], &body.to_string())
    }

    /// With a redirect of `url`.
    pub(crate) fn redirect(self, url: &str, target: &str) -> Self {
        self.route(&format!("GET {url}"), 302, &[("location", target)], "")
    }

    /// With a server error at `url`.
    pub(crate) fn unavailable(self, url: &str) -> Self {
        self.route(&format!("GET {url}"), 503, &[], "")
    }

    /// With this `iss` in the callback.
    pub(crate) fn iss(self, iss: &str) -> Self {
        *lock(&self.iss) = Some(iss.to_owned());
        self
    }

    fn route(self, key: &str, status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let route = (status, headers.collect(), body.to_owned());
        lock(&self.routes).insert(key.to_owned(), route);
        self
    }

    /// Replaces the document at `url`.
    pub(crate) fn replace(&self, url: &str, document: &Value) {
        let route = (200, Vec::new(), document.to_string());
        lock(&self.routes).insert(format!("GET {url}"), route);
    }

    /// Returns the method and URL of each request.
    pub(crate) fn trail(&self) -> Vec<String> {
        let sent = lock(&self.sent);
        sent.iter()
            .map(|r| format!("{} {}", r.method, r.url))
            .collect()
    }

    pub(crate) fn count(&self, request: &str) -> usize {
        self.trail().iter().filter(|sent| *sent == request).count()
    }

    /// Returns the forms that were sent to `url`.
    pub(crate) fn forms(&self, url: &str) -> Vec<HashMap<String, String>> {
        let sent = lock(&self.sent);
        let to = sent
            .iter()
            .filter(|r| r.method == "POST" && r.url.as_str() == url);
        to.map(|r| form_urlencoded::parse(&r.body).into_owned().collect())
            .collect()
    }
}

#[async_trait]
impl HttpClient for Servers {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let key = format!("{} {}", request.method, request.url);
        let is_mcp = request.method == "POST" && request.url == *self.server.as_url();
        lock(&self.sent).push(request);
        let mut headers = HeaderMap::new();
        if is_mcp {
            if !self.challenge.is_empty() {
                headers.insert("www-authenticate", self.challenge.parse().unwrap());
            }
            return Ok(Response::new(StatusCode::UNAUTHORIZED, headers, ""));
        }
        let route = lock(&self.routes).get(&key).cloned();
        let Some((status, named, body)) = route else {
            return Ok(Response::new(StatusCode::NOT_FOUND, headers, ""));
        };
        for (name, value) in named {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        Ok(Response::new(
            StatusCode::from_u16(status).unwrap(),
            headers,
            body,
        ))
    }
}

/// A user who logs in at scripted servers.
pub(crate) struct Scripted {
    pub(crate) servers: Arc<Servers>,
    pub(crate) store: TokenStore,
    pub(crate) clock: ManualClock,
    pub(crate) user: Arc<TestUser>,
    pub(crate) platform: Platform,
}

impl Scripted {
    pub(crate) fn new(servers: Servers) -> Self {
        let servers = Arc::new(servers);
        let clock = ManualClock::new(start_time());
        let for_user = Arc::clone(&servers);
        let user = TestUser::with_action(move |url| {
            let iss = lock(&for_user.iss).clone();
            async move { browse(callback(&url, iss.as_deref())).await }
        });
        let platform = Platform::new(
            Arc::clone(&servers) as _,
            Arc::new(clock.clone()),
            Arc::clone(&user) as _,
        );
        Self {
            servers,
            store: TokenStore::memory(),
            clock,
            user,
            platform,
        }
    }

    pub(crate) async fn discovered(&self, options: &DiscoveryOptions) -> Result<Discovery, Error> {
        bounded(discover(&self.platform, &self.servers.server, options)).await
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
        let client = Client::with_platform(self.platform.clone(), self.store.clone());
        let login = configure(client.login(&self.servers.server)).reauthenticate();
        bounded(login.into_future()).await
    }

    /// Returns the values of a parameter of the last authorization request.
    pub(crate) fn requested(&self, name: &str) -> String {
        parameter(self.user.opened_urls().last().unwrap(), name)
    }
}

/// Returns the callback URL with a code.
fn callback(url: &Url, iss: Option<&str>) -> Url {
    let mut callback: Url = parameter(url, "redirect_uri").parse().unwrap();
    let mut query = callback.query_pairs_mut();
    query.append_pair("code", "a-code");
    query.append_pair("state", &parameter(url, "state"));
    query.extend_pairs(iss.map(|iss| ("iss", iss)));
    drop(query);
    callback
}

/// Returns the challenge of a server with resource metadata at `url`.
pub(crate) fn challenge(url: &str) -> String {
    format!("Bearer resource_metadata=\"{url}\"")
}

/// Returns a typical token response.
pub(crate) fn tokens() -> Value {
    json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-1"})
}

/// Returns the registration response for a public client.
pub(crate) fn registered() -> Value {
    json!({"client_id": "cid-dcr", "token_endpoint_auth_method": "none"})
}

/// Sets a pre-registered client.
pub(crate) fn preregistered(login: Login) -> Login {
    login.client_id("c")
}
