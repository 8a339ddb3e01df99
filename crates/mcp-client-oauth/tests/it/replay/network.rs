//! The network of a case: it sends the recorded responses, and compares each request with the request
//! that the real server accepted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use mcp_client_oauth::platform::{HttpClient, HttpError, HttpErrorKind, Request, Response};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::case::{self, Case, Route};
use crate::support::lock;

/// The authorization code of every run.
pub(super) const CODE: &str = "code-of-this-login";

/// The values of this run for the placeholders of a case.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) redirect_uri: String,
    pub(super) client_id: String,
    pub(super) nonce: String,
}

pub(super) struct Network {
    case: Case,
    facts: Arc<Mutex<Facts>>,
    /// The number of responses of each route that were sent.
    sent: Mutex<BTreeMap<String, usize>>,
    requests: Mutex<Vec<Request>>,
    failures: Mutex<Vec<String>>,
}

impl Network {
    pub(super) fn new(case: &Case, facts: Arc<Mutex<Facts>>) -> Self {
        Self {
            case: case.clone(),
            facts,
            sent: Mutex::default(),
            requests: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Returns the requests, in order.
    pub(super) fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }

    /// Returns the requests that were not recorded, or that the real server would not have accepted.
    pub(super) fn failures(&self) -> Vec<String> {
        lock(&self.failures).clone()
    }

    /// Returns the recorded responses that were not requested.
    pub(super) fn unrequested(&self) -> Vec<String> {
        let sent = lock(&self.sent);
        let routes = self.case.routes.0.iter();
        let left = routes.filter_map(|(url, route)| match route {
            Route::Successive(all) => {
                let left = all.len().saturating_sub(*sent.get(url).unwrap_or(&0));
                (left > 0).then(|| format!("{url}: {left} recorded responses were not requested"))
            }
            Route::Constant(_) => None,
        });
        left.collect()
    }

    fn fail(&self, failure: String) {
        lock(&self.failures).push(failure);
    }

    fn respond(&self, request: &Request) -> Response {
        let server = Url::parse(&self.case.server).ok();
        if request.method == Method::POST && Some(&request.url) == server.as_ref() {
            return self.fill(&self.case.probe);
        }
        let Some((url, route)) = self.find(request) else {
            let is_metadata = request.url.path().contains("/.well-known/");
            if request.method != Method::GET || !is_metadata {
                self.fail(format!("{} was not recorded", named(request)));
            }
            return Response::new(StatusCode::NOT_FOUND, HeaderMap::new(), "");
        };
        let response = match route {
            Route::Constant(response) => response,
            Route::Successive(all) => {
                let mut sent = lock(&self.sent);
                let number = sent.entry(url.clone()).or_default();
                *number += 1;
                let Some(response) = all.get(*number - 1) else {
                    self.fail(format!("{url}: more requests than responses"));
                    return Response::new(StatusCode::BAD_REQUEST, HeaderMap::new(), "");
                };
                response
            }
        };
        for failure in self.unmet(request, response) {
            self.fail(format!("{}: {failure}", named(request)));
        }
        self.fill(response)
    }

    fn find(&self, request: &Request) -> Option<(&String, &Route)> {
        let mut without_query = request.url.clone();
        without_query.set_query(None);
        let routes = &self.case.routes.0;
        [&request.url, &without_query].into_iter().find_map(|url| {
            let key = match request.method {
                Method::GET => url.to_string(),
                _ => format!("{} {url}", request.method),
            };
            routes.get_key_value(&key)
        })
    }

    /// Returns the expectations of the response that the request does not meet.
    fn unmet(&self, request: &Request, response: &case::Response) -> Vec<String> {
        let mut unmet = Vec::new();
        let expects = &response.expects;
        if let Some(expected) = expects.get("authorization") {
            let header = request.headers.get(header::AUTHORIZATION);
            let found = header.and_then(|value| value.to_str().ok()?.split(' ').next());
            if found != expected.as_str() {
                unmet.push(format!("Authorization is {found:?}, not {expected}"));
            }
        }
        if let Some(Value::Object(expected)) = expects.get("form") {
            unmet.extend(self.unmet_parameters(expected, &form(request)));
        }
        if let Some(Value::Object(expected)) = expects.get("json") {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let differs = |(name, value): (&String, &Value)| {
                let found = body.get(name).unwrap_or(&Value::Null);
                let is_met = found == value || (value == "*" && !found.is_null());
                (!is_met).then(|| format!("`{name}` is {found}, not {value}"))
            };
            unmet.extend(expected.iter().filter_map(differs));
        }
        unmet
    }

    /// Returns the parameters that differ from `expected`.
    pub(super) fn unmet_parameters(
        &self,
        expected: &serde_json::Map<String, Value>,
        found: &[(String, String)],
    ) -> Vec<String> {
        let differs = |(name, value): (&String, &Value)| {
            let mut found = found.iter().filter(|(key, _)| key == name);
            let found = found.next().map(|(_, value)| value.as_str());
            let is_met = match value.as_str() {
                None => found.is_none(),
                Some("*") => found.is_some(),
                Some(text) => found == Some(&*self.fill_text(text)),
            };
            (!is_met).then(|| format!("`{name}` is {found:?}, not {value}"))
        };
        expected.iter().filter_map(differs).collect()
    }

    fn fill(&self, response: &case::Response) -> Response {
        let mut headers = HeaderMap::new();
        let is_text = response.body.is_string();
        if !response.body.is_null() && !is_text {
            headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        }
        for (name, value) in &response.headers {
            let name: HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        let body = match &response.body {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let status = StatusCode::from_u16(response.status).unwrap();
        Response::new(status, headers, self.fill_text(&body).into_bytes())
    }

    /// Replaces the placeholders by the values of this run.
    fn fill_text(&self, text: &str) -> String {
        let facts = lock(&self.facts);
        let names = [
            ("__REDIRECT_URI__", facts.redirect_uri.clone()),
            ("__CLIENT_ID__", facts.client_id.clone()),
            ("__NONCE__", facts.nonce.clone()),
            ("__CODE__", CODE.to_owned()),
            ("__ID_TOKEN__", id_token(&self.case, &facts)),
        ];
        names.iter().fold(text.to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
    }

    /// Stores the redirect URI, which the registration request names first.
    fn store_redirect_uri(&self, request: &Request) {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if let Some(uri) = body["redirect_uris"][0].as_str() {
            uri.clone_into(&mut lock(&self.facts).redirect_uri);
        }
    }
}

fn named(request: &Request) -> String {
    let mut url = request.url.clone();
    url.set_query(None);
    format!("{} {url}", request.method)
}

/// Returns the parameters of a form body.
pub(super) fn form(request: &Request) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

/// Returns the authorization server metadata documents of a case.
pub(super) fn server_metadata(case: &Case) -> impl Iterator<Item = &Value> {
    let documents = case.routes.0.values().filter_map(|route| match route {
        Route::Constant(response) => Some(&response.body),
        Route::Successive(_) => None,
    });
    documents.filter(|body| body.get("token_endpoint").is_some())
}

/// Returns an unsigned ID token, which a client accepts from the token endpoint only (OpenID Connect
/// Core 1.0 §3.1.3.7).
fn id_token(case: &Case, facts: &Facts) -> String {
    let issuer = server_metadata(case).find_map(|metadata| metadata.get("issuer"));
    let claims = json!({
        "iss": issuer, "sub": "user", "aud": facts.client_id, "nonce": facts.nonce,
        "iat": 1_700_000_000, "exp": 4_000_000_000_u64,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims))
}

#[async_trait]
impl HttpClient for Network {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let url: Url = request.url.clone();
        let forbidden = |cause| HttpError::new(&url, HttpErrorKind::Forbidden(cause));
        request.address_space.check_url(&url).map_err(forbidden)?;
        tokio::task::yield_now().await;
        self.store_redirect_uri(&request);
        let response = self.respond(&request);
        lock(&self.requests).push(request);
        Ok(response)
    }
}
