//! Replays the recorded messages of real servers: `fixtures/servers/*.json`, recorded with the command
//! of this repository, with secrets and tokens replaced.

use std::{collections::VecDeque, sync::Mutex};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use mcp_client_oauth::platform::{HttpClient, HttpError, HttpErrorKind, Request, Response};
use serde::Deserialize;

use crate::support::lock;

#[derive(Deserialize)]
struct Transcript {
    url: String,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
struct Exchange {
    /// Method and path.
    request: String,
    status: u16,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
}

impl Exchange {
    fn response(self) -> Response {
        let headers = self.headers.iter().map(|(name, value)| {
            let name: HeaderName = name.parse().unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let headers: HeaderMap = headers.collect();
        Response::new(
            StatusCode::from_u16(self.status).unwrap(),
            headers,
            self.body,
        )
    }
}

/// Responds to each request with the next recorded response to its method and path.
pub(super) struct Replay {
    pub(super) url: String,
    exchanges: Mutex<VecDeque<Exchange>>,
    requests: Mutex<Vec<Request>>,
}

impl Replay {
    pub(super) fn from_transcript(transcript: &str) -> Self {
        let transcript: Transcript = serde_json::from_str(transcript).unwrap();
        Self {
            url: transcript.url,
            exchanges: Mutex::new(transcript.exchanges.into()),
            requests: Mutex::default(),
        }
    }

    /// Returns the requests to this path, in order.
    pub(super) fn requests(&self, path: &str) -> Vec<Request> {
        let requests = lock(&self.requests);
        let found = requests.iter().filter(|request| request.url.path() == path);
        found.cloned().collect()
    }

    /// Returns method and path of each recorded response that was not requested.
    pub(super) fn unsent(&self) -> Vec<String> {
        let left = lock(&self.exchanges);
        left.iter()
            .map(|exchange| exchange.request.clone())
            .collect()
    }
}

#[async_trait]
impl HttpClient for Replay {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (url, requested) = (
            request.url.clone(),
            format!("{} {}", request.method, request.url.path()),
        );
        lock(&self.requests).push(request);
        let mut exchanges = lock(&self.exchanges);
        let at = exchanges.iter().position(|next| next.request == requested);
        let next = at.and_then(|at| exchanges.remove(at));
        let over = || HttpErrorKind::Connect(format!("no more {requested} in the transcript"));
        next.map(Exchange::response)
            .ok_or_else(|| HttpError::new(&url, over()))
    }
}
