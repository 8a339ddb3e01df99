//! One request and its answer, and what the statuses mean. No secret is in the errors.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use super::options::VaultOptions;
use crate::{
    error::{HttpErrorKind, TokenStorageError, VaultErrorKind},
    platform::{
        AddressSpace, Clock, HttpClient, METADATA_DEADLINE, Request, Response, without_query,
    },
    proto::untrusted_text::UntrustedText,
    secret::Secret,
};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
/// An agent in front of a Vault can demand this of every request, against forged ones.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// The pauses before another try when it cannot answer: a restart, an election and an automatic
/// unsealing take seconds, and a rotated token that cannot be stored is lost to the other hosts.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// Holds what HTTP 400 says for a moment after an engine was mounted, or its server was started.
const UPGRADING: &str = "unavailable for a brief period";
/// Says how large an answer may be: a list has 70 bytes for each record.
const ANSWER_LIMIT: usize = 16 << 20;

/// A Vault, and how to reach it.
pub(super) struct Server {
    address: Url,
    namespace: Option<HeaderValue>,
    http: Arc<dyn HttpClient>,
    pub(super) clock: Arc<dyn Clock>,
}

/// Holds what is asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    /// Holds what follows `/v1/`.
    pub(super) path: String,
    body: Bytes,
    list: bool,
    /// Says whether it may not be sent again once it may have arrived.
    once: bool,
}

impl Call {
    pub(super) fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Bytes::new(),
            list: false,
            once: false,
        }
    }

    /// `LIST`, in the spelling that every proxy knows.
    pub(super) fn list(path: String) -> Self {
        Self {
            list: true,
            ..Self::get(path)
        }
    }

    /// A `POST` of JSON, which is wiped from memory after use. `room` is what it needs at most, so
    /// that no copy is left behind when the buffer grows.
    pub(super) fn post(path: String, body: &impl Serialize, room: usize) -> Self {
        let mut text = Zeroizing::new(Vec::with_capacity(room));
        // Our documents are maps of text and numbers: there is nothing that JSON cannot hold, and
        // an empty body is refused by the server.
        if serde_json::to_writer(&mut *text, body).is_err() {
            text.clear();
        }
        Self {
            method: Method::POST,
            body: Bytes::from_owner(text),
            ..Self::get(path)
        }
    }

    /// The same, sent once only.
    pub(super) fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// An answer that is not about the server as a whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// Holds what the server's clock said.
    pub(super) date: Option<SystemTime>,
    /// Says whether an earlier try may have arrived too.
    pub(super) in_doubt: bool,
    body: Bytes,
}

impl Answer {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns its own words, if it is a refusal.
    pub(super) fn message(&self) -> UntrustedText {
        message(&self.body)
    }

    /// Returns whether its own words contain `text`.
    pub(super) fn says(&self, text: &str) -> bool {
        self.message().as_raw().contains(text)
    }
}

impl Server {
    pub(super) fn new(
        options: &VaultOptions,
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TokenStorageError> {
        let mut server = Self {
            address: without_query(&options.address),
            namespace: None,
            http,
            clock,
        };
        if let Some(namespace) = &options.namespace {
            let value = HeaderValue::from_str(namespace)
                .map_err(|_| server.fault(VaultErrorKind::Path(namespace.clone())))?;
            server.namespace = Some(value);
        }
        Ok(server)
    }

    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    pub(super) fn fault(&self, cause: VaultErrorKind) -> TokenStorageError {
        TokenStorageError::Vault {
            address: self.address.clone(),
            cause,
        }
    }

    /// Returns a refusal that nobody expected.
    pub(super) fn refused(&self, answer: &Answer) -> TokenStorageError {
        self.fault(VaultErrorKind::Refused {
            status: answer.status.as_u16(),
            message: answer.message(),
        })
    }

    pub(super) fn denied(&self, path: &str) -> TokenStorageError {
        self.fault(VaultErrorKind::Denied {
            path: path.to_owned(),
        })
    }

    pub(super) fn malformed(&self, why: &'static str) -> TokenStorageError {
        self.fault(VaultErrorKind::Malformed(why))
    }

    /// Sends `call`, and again while the server cannot answer: every call here may be repeated,
    /// because writes are check-and-set (what came of one whose answer was lost is told by
    /// [`McpResponse::in_doubt`]), unless it says that it may not.
    pub(super) async fn send(
        &self,
        call: &Call,
        token: Option<&Secret<String>>,
    ) -> Result<Answer, TokenStorageError> {
        let request = self.request(call, token)?;
        let mut in_doubt = false;
        let mut pauses = PAUSES.into_iter();
        loop {
            let failure = match self.try_once(request.clone()).await {
                Ok(answer) => return Ok(Answer { in_doubt, ..answer }),
                Err(failure) => failure,
            };
            let never_sent = matches!(
                failure,
                VaultErrorKind::Unreachable(HttpErrorKind::Connect(_)) | VaultErrorKind::Sealed
            );
            let pause = pauses.next().filter(|_| may_pass(&failure));
            let Some(pause) = pause.filter(|_| never_sent || !call.once) else {
                return Err(self.fault(failure));
            };
            in_doubt |= !never_sent;
            tracing::debug!(address = %self.address, %failure, "asked again after a pause");
            self.clock.sleep(pause).await;
        }
    }

    fn request(
        &self,
        call: &Call,
        token: Option<&Secret<String>>,
    ) -> Result<Request, TokenStorageError> {
        // The person named the address, so it may be anywhere.
        let mut request = Request::json(self.url(call), AddressSpace::Loopback, call.body.clone());
        request.method = call.method.clone();
        request.deadline = METADATA_DEADLINE;
        request.body_limit = ANSWER_LIMIT;
        let headers = &mut request.headers;
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(namespace) = &self.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
                self.fault(VaultErrorKind::Token("has characters that none can have"))
            })?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        Ok(request)
    }

    fn url(&self, call: &Call) -> Url {
        let mut url = self.address.clone();
        // Every URL with a host has segments; the address was checked to have one.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .push("v1")
                .extend(call.path.split('/'));
        }
        url.set_query(call.list.then_some("list=true"));
        url
    }

    async fn try_once(&self, request: Request) -> Result<Answer, VaultErrorKind> {
        let answer = self
            .http
            .send(request)
            .await
            .map_err(|error| VaultErrorKind::Unreachable(error.cause))?;
        sort(answer)
    }
}

/// Keeps the answers that are about what was asked, and tells the others.
/// <https://developer.hashicorp.com/vault/api-docs#http-status-codes>
fn sort(answer: Response) -> Result<Answer, VaultErrorKind> {
    let status = answer.status;
    match status.as_u16() {
        501 => Err(VaultErrorKind::Uninitialized),
        503 if message(&answer.body).as_raw().contains("sealed") => Err(VaultErrorKind::Sealed),
        412 | 429 | 472 | 473 | 500.. => Err(unavailable(&answer)),
        400 if message(&answer.body).as_raw().contains(UPGRADING) => Err(unavailable(&answer)),
        300..=399 => {
            let place = answer.header(header::LOCATION).unwrap_or_default();
            Err(VaultErrorKind::Redirect(UntrustedText::new(place)))
        }
        _ => Ok(Answer {
            status,
            date: answer
                .header(header::DATE)
                .and_then(|date| httpdate::parse_http_date(date).ok()),
            in_doubt: false,
            body: answer.body,
        }),
    }
}

fn unavailable(answer: &Response) -> VaultErrorKind {
    VaultErrorKind::Unavailable {
        status: answer.status.as_u16(),
        message: message(&answer.body),
    }
}

fn may_pass(failure: &VaultErrorKind) -> bool {
    matches!(
        failure,
        VaultErrorKind::Sealed
            | VaultErrorKind::Unavailable { .. }
            | VaultErrorKind::Unreachable(
                HttpErrorKind::Connect(_)
                    | HttpErrorKind::Interrupted(_)
                    | HttpErrorKind::TimedOut(_)
            )
    )
}

fn message(body: &[u8]) -> UntrustedText {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<String>,
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if refusal.errors.is_empty() => UntrustedText::new("no reason given"),
        Ok(refusal) => UntrustedText::new(refusal.errors.join("; ").trim()),
        Err(_) => UntrustedText::new("not the answer of a Vault"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn cause(status: u16, body: &'static str) -> VaultErrorKind {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::LOCATION,
            HeaderValue::from_static("https://b.example/v1/x"),
        );
        sort(Response::new(status, headers, body)).unwrap_err()
    }

    #[test]
    fn a_status_about_the_server_is_told_from_one_about_the_secret() {
        assert!(matches!(cause(501, "{}"), VaultErrorKind::Uninitialized));
        assert!(matches!(
            cause(503, r#"{"errors":["Vault is sealed"]}"#),
            VaultErrorKind::Sealed
        ));
        for status in [412, 429, 472, 473, 500, 502, 503, 599] {
            assert!(
                matches!(cause(status, ""), VaultErrorKind::Unavailable { status: s, .. } if s == status)
            );
        }
        assert!(
            matches!(cause(307, ""), VaultErrorKind::Redirect(place) if place.as_raw().contains("b.example"))
        );
        let upgrading = r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}"#;
        assert!(matches!(
            cause(400, upgrading),
            VaultErrorKind::Unavailable { status: 400, .. }
        ));
        for status in [200, 204, 400, 403, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(sort(Response::new(status, HeaderMap::new(), "{}")).is_ok());
        }
    }

    #[test]
    fn what_a_server_says_is_made_safe_to_show() {
        let VaultErrorKind::Unavailable { message, .. } =
            cause(500, r#"{"errors":["a\u001b[2J","b"]}"#)
        else {
            panic!("500 means something else");
        };
        assert_eq!(message.to_string(), "a\\u{1b}[2J; b");
    }
}
