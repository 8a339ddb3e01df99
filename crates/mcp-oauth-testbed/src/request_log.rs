//! The log of the received requests, in the order of arrival.

use http::HeaderMap;
use serde_json::Value;
use tokio::sync::watch;
use url::form_urlencoded;

use crate::dpop::proof::{DpopProof, HEADER};

/// The server that received a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// The MCP server, its protected resource metadata included.
    Mcp,
    /// The authorization server. A legacy server has it on the same origin.
    AuthorizationServer,
    /// The identity provider of an enterprise.
    IdentityProvider,
}

/// A request that one of the servers received.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The server that received it.
    pub to: Peer,
    /// The method, as in `POST`.
    pub method: String,
    /// The path, as in `/token`.
    pub path: String,
    /// The query, undecoded.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
    /// The status of the response; 0 until there is one.
    pub status: u16,
}

impl RecordedRequest {
    /// Returns a parameter of a form body, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        parameter(&self.body, name)
    }

    /// Returns a parameter of the query, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        parameter(self.query.as_deref()?.as_bytes(), name)
    }

    /// Returns the first value of a header, if it is ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns its DPoP proof (RFC 9449), which may be invalid.
    pub fn dpop_proof(&self) -> Option<DpopProof> {
        DpopProof::read(self.header(HEADER)?)
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    fn is(&self, to: Peer, method: &str, path: &str) -> bool {
        self.to == to && self.method.eq_ignore_ascii_case(method) && self.path == path
    }
}

fn parameter(encoded: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(encoded)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The received requests. A request is identified by its number since the start, so that `clear` does
/// not confuse responses that are still pending.
#[derive(Debug)]
pub(crate) struct Log {
    cleared: usize,
    requests: Vec<RecordedRequest>,
    arrivals: watch::Sender<usize>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            cleared: 0,
            requests: Vec::new(),
            arrivals: watch::Sender::new(0),
        }
    }

    pub(crate) fn record(&mut self, request: RecordedRequest) -> usize {
        self.requests.push(request);
        let number = self.cleared + self.requests.len();
        self.arrivals.send_replace(number);
        number
    }

    pub(crate) fn set_status(&mut self, number: usize, status: u16) {
        let index = number.checked_sub(self.cleared + 1);
        if let Some(request) = index.and_then(|index| self.requests.get_mut(index)) {
            request.status = status;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.cleared += self.requests.len();
        self.requests.clear();
    }

    pub(crate) fn requests(&self) -> &[RecordedRequest] {
        &self.requests
    }

    pub(crate) fn arrivals(&self) -> watch::Receiver<usize> {
        self.arrivals.subscribe()
    }

    pub(crate) fn count(&self, to: Peer, method: &str, path: &str) -> usize {
        self.requests
            .iter()
            .filter(|request| request.is(to, method, path))
            .count()
    }

    pub(crate) fn token_requests(&self, grant_type: &str) -> usize {
        self.requests
            .iter()
            .filter(|request| request.is(Peer::AuthorizationServer, "POST", "/token"))
            .filter(|request| request.form("grant_type").as_deref() == Some(grant_type))
            .count()
    }
}
