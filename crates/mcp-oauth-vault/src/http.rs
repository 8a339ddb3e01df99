//! One request and its response, and the meaning of each status. The errors contain no secret.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use mcp_client_oauth::{
    Secret,
    error::{HttpErrorKind, TokenStorageError, UntrustedText},
    platform::{AddressSpace, Clock, HttpClient, Request, Response},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    error::VaultError,
    options::{VaultOptions, without_query},
};

/// The time limit of a request, from the connection to the last byte.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// An agent in front of a Vault can require this header of every request, against forged requests.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// The pauses before a retry when the server is unavailable: a restart, an election and an automatic unseal
/// take seconds, and a rotated token that cannot be stored is lost for the other hosts.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// Part of the message of HTTP 400 for a moment after an engine was mounted, or its server was started.
const UPGRADING: &str = "unavailable for a brief period";
/// The size of the largest response: a list has 70 bytes for each record.
const RESPONSE_LIMIT: usize = 16 << 20;

/// The connection to a Vault.
pub(super) struct Server {
    address: Url,
    namespace: Option<HeaderValue>,
    http: Arc<dyn HttpClient>,
    pub(super) clock: Arc<dyn Clock>,
}

/// A request.
#[derive(Clone, Debug)]
pub(super) struct Call {
    method: Method,
    /// The path after `/v1/`.
    pub(super) path: String,
    body: Bytes,
    list: bool,
    /// Says whether it must not be sent again if it may have arrived.
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

    /// Creates a `LIST` request, as a `GET` with `list=true`, which every proxy supports.
    pub(super) fn list(path: String) -> Self {
        Self {
            list: true,
            ..Self::get(path)
        }
    }

    pub(super) fn delete(path: String) -> Self {
        Self {
            method: Method::DELETE,
            ..Self::get(path)
        }
    }

    /// Creates a `POST` of JSON, which is wiped from memory after use. `capacity` is its largest size: the
    /// buffer must not grow, which would leave a copy in memory.
    pub(super) fn post(path: String, body: &impl Serialize, capacity: usize) -> Self {
        let mut text = Zeroizing::new(Vec::with_capacity(capacity));
        // The documents are maps of text and numbers, which can always be written as JSON; the server
        // would refuse an empty body.
        if serde_json::to_writer(&mut *text, body).is_err() {
            text.clear();
        }
        Self {
            method: Method::POST,
            body: Bytes::from_owner(text),
            ..Self::get(path)
        }
    }

    /// Returns the same request, which is not retried if it may have arrived.
    pub(super) fn once(self) -> Self {
        Self { once: true, ..self }
    }
}

/// A response that is not about the server as a whole.
#[derive(Debug)]
pub(super) struct VaultResponse {
    pub(super) status: StatusCode,
    /// The time by the server's clock.
    pub(super) date: Option<SystemTime>,
    /// Says whether an earlier attempt may have arrived too.
    pub(super) in_doubt: bool,
    body: Bytes,
}

impl VaultResponse {
    pub(super) fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Returns the error message, if it is a refusal.
    pub(super) fn message(&self) -> UntrustedText {
        message(&self.body)
    }

    /// Returns whether the error message contains `text`.
    pub(super) fn message_contains(&self, text: &str) -> bool {
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
                .map_err(|_| server.fault(VaultError::Path(namespace.clone())))?;
            server.namespace = Some(value);
        }
        Ok(server)
    }

    pub(super) fn address(&self) -> &Url {
        &self.address
    }

    pub(super) fn fault(&self, cause: VaultError) -> TokenStorageError {
        cause.at(&self.address)
    }

    /// Returns the error for an unexpected refusal.
    pub(super) fn refused(&self, response: &VaultResponse) -> TokenStorageError {
        self.fault(VaultError::Refused {
            status: response.status.as_u16(),
            message: response.message(),
        })
    }

    pub(super) fn denied(&self, path: &str) -> TokenStorageError {
        self.fault(VaultError::Denied {
            path: path.to_owned(),
        })
    }

    pub(super) fn malformed(&self, why: &'static str) -> TokenStorageError {
        self.fault(VaultError::Malformed(why))
    }

    /// Sends `call`, and retries while the server is unavailable: every call here may be repeated, because
    /// writes are check-and-set ([`VaultResponse::in_doubt`] tells whether an earlier attempt may have
    /// written), unless the call says that it must not.
    pub(super) async fn send(
        &self,
        call: &Call,
        token: Option<&Secret<String>>,
    ) -> Result<VaultResponse, TokenStorageError> {
        let request = self.request(call, token)?;
        let mut in_doubt = false;
        let mut pauses = PAUSES.into_iter();
        loop {
            let failure = match self.try_once(request.clone()).await {
                Ok(response) => {
                    return Ok(VaultResponse {
                        in_doubt,
                        ..response
                    });
                }
                Err(failure) => failure,
            };
            let never_sent = matches!(
                failure,
                VaultError::Unreachable(HttpErrorKind::Connect(_)) | VaultError::Sealed
            );
            let pause = pauses.next().filter(|_| is_temporary(&failure));
            let Some(pause) = pause.filter(|_| never_sent || !call.once) else {
                return Err(self.fault(failure));
            };
            in_doubt |= !never_sent;
            tracing::debug!(address = %self.address, %failure, "retrying after a pause");
            self.clock.sleep(pause).await;
        }
    }

    fn request(
        &self,
        call: &Call,
        token: Option<&Secret<String>>,
    ) -> Result<Request, TokenStorageError> {
        // The user gave the address, so it may be in any network.
        let (method, url) = (call.method.clone(), self.url(call));
        let mut request = Request::new(method, url, AddressSpace::Loopback);
        request.body = call.body.clone();
        request.deadline = REQUEST_DEADLINE;
        request.body_limit = RESPONSE_LIMIT;
        let headers = &mut request.headers;
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        headers.insert(header::ACCEPT, JSON);
        headers.insert(header::CONTENT_TYPE, JSON);
        if let Some(namespace) = &self.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose())
                .map_err(|_| self.fault(VaultError::Token("has characters that none can have")))?;
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

    async fn try_once(&self, request: Request) -> Result<VaultResponse, VaultError> {
        let response = self
            .http
            .send(request)
            .await
            .map_err(|error| VaultError::Unreachable(error.cause))?;
        classify(response)
    }
}

/// Returns a response that is about the request itself, or the error of one that is about the server as a
/// whole.
/// <https://developer.hashicorp.com/vault/api-docs#http-status-codes>
fn classify(response: Response) -> Result<VaultResponse, VaultError> {
    let status = response.status;
    match status.as_u16() {
        501 => Err(VaultError::Uninitialized),
        503 if message(&response.body).as_raw().contains("sealed") => Err(VaultError::Sealed),
        412 | 429 | 472 | 473 | 500.. => Err(unavailable(&response)),
        400 if message(&response.body).as_raw().contains(UPGRADING) => Err(unavailable(&response)),
        300..=399 => {
            let target = response.header(header::LOCATION).unwrap_or_default();
            Err(VaultError::Redirect(UntrustedText::new(target)))
        }
        _ => Ok(VaultResponse {
            status,
            date: response
                .header(header::DATE)
                .and_then(|date| httpdate::parse_http_date(date).ok()),
            in_doubt: false,
            body: response.body,
        }),
    }
}

fn unavailable(response: &Response) -> VaultError {
    VaultError::Unavailable {
        status: response.status.as_u16(),
        message: message(&response.body),
    }
}

fn is_temporary(failure: &VaultError) -> bool {
    matches!(
        failure,
        VaultError::Sealed
            | VaultError::Unavailable { .. }
            | VaultError::Unreachable(
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
        Err(_) => UntrustedText::new("it is not a response of Vault"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn cause(status: u16, body: &'static str) -> VaultError {
        let status = StatusCode::from_u16(status).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(
            header::LOCATION,
            HeaderValue::from_static("https://b.example/v1/x"),
        );
        classify(Response::new(status, headers, body)).unwrap_err()
    }

    #[test]
    fn statuses_about_the_server_and_about_the_secret_are_distinguished() {
        assert!(matches!(cause(501, "{}"), VaultError::Uninitialized));
        assert!(matches!(
            cause(503, r#"{"errors":["Vault is sealed"]}"#),
            VaultError::Sealed
        ));
        for status in [412, 429, 472, 473, 500, 502, 503, 599] {
            assert!(
                matches!(cause(status, ""), VaultError::Unavailable { status: s, .. } if s == status)
            );
        }
        assert!(
            matches!(cause(307, ""), VaultError::Redirect(to) if to.as_raw().contains("b.example"))
        );
        let upgrading = r#"{"errors":["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."]}"#;
        assert!(matches!(
            cause(400, upgrading),
            VaultError::Unavailable { status: 400, .. }
        ));
        for status in [200, 204, 400, 403, 404] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(classify(Response::new(status, HeaderMap::new(), "{}")).is_ok());
        }
    }

    #[test]
    fn the_message_of_a_server_is_escaped() {
        let VaultError::Unavailable { message, .. } =
            cause(500, r#"{"errors":["a\u001b[2J","b"]}"#)
        else {
            panic!("500 means something else");
        };
        assert_eq!(message.to_string(), "a\\u{1b}[2J; b");
    }
}
