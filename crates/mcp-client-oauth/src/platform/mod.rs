//! The outside world, as three small traits: network, time and person (storage is in
//! [`store`](crate::store)).

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::{net::IpAddr, time::SystemTime};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

mod assertion;
mod body;
#[cfg(feature = "browser")]
mod browser;
mod clock;
mod device_prompt;
mod reach;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "reqwest")]
mod resolver;
#[cfg(feature = "reqwest")]
mod trust;
mod turns;

pub use assertion::{AssertionSource, NoAssertion, NoAssertionCause, SECRET_VARIABLES};
pub use body::Body;
#[cfg(feature = "browser")]
pub use browser::Browser;
pub use clock::SystemClock;
pub use device_prompt::DevicePrompt;
pub use reach::{Reach, UnsafeUrl};

#[cfg(feature = "mcp")]
pub(crate) use self::reqwest::cause_of;
use self::turns::Turns;
#[cfg(feature = "reqwest")]
pub use self::{reqwest::ReqwestClient, resolver::Resolver};

/// How long one metadata request may take, from the connection to the last byte.
pub const METADATA_DEADLINE: Duration = Duration::from_secs(10);
/// How long one request to a token, registration or revocation endpoint may take.
pub const TOKEN_DEADLINE: Duration = Duration::from_secs(30);
/// How much of a body is held that cannot be sent as it comes.
const UPLOAD_LIMIT: usize = 64 << 20;
/// How large the body of an OAuth answer may be.
pub const BODY_LIMIT: usize = 1 << 20;

/// Everything that a flow needs from outside. Cloning shares it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Platform {
    /// Network.
    pub http: Arc<dyn HttpClient>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Person.
    pub interaction: Arc<dyn Interaction>,
    /// Who may ask an issuer for tokens now.
    pub(crate) turns: Turns,
}

impl Platform {
    /// A platform of given parts.
    pub fn new(
        http: Arc<dyn HttpClient>,
        clock: Arc<dyn Clock>,
        interaction: Arc<dyn Interaction>,
    ) -> Self {
        Self {
            http,
            clock,
            interaction,
            turns: Turns::default(),
        }
    }

    /// This machine: reqwest, the system clock and the person's own browser.
    ///
    /// Nothing is opened yet: the HTTP client and its TLS roots are made by the first request.
    #[cfg(all(feature = "reqwest", feature = "browser"))]
    pub fn system() -> Self {
        Self::new(
            Arc::new(ReqwestClient::default()),
            Arc::new(SystemClock),
            Arc::new(Browser::default()),
        )
    }

    /// The same platform with another person.
    #[must_use]
    pub fn with_interaction(mut self, interaction: Arc<dyn Interaction>) -> Self {
        self.interaction = interaction;
        self
    }
}

impl fmt::Debug for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Platform")
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}

/// Sends one request. It never follows a redirect, keeps no cookies, reads no more than the request
/// allows, and goes where the request's [`Reach`] allows it: by [`Reach::allows`] of the URL, and by
/// [`Reach::allows_address`] of the address that it connects to.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends `request` and returns the whole response, whatever its status.
    async fn send(&self, request: Request) -> Result<Response, HttpError>;

    /// The same, for an answer that is read as it comes: an event stream has no end. The deadline is
    /// for the head of the answer, and whoever reads the body says how large it may be.
    ///
    /// The default has read the whole answer before it returns.
    async fn open(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        let response = http::Response::from(self.send(request).await?);
        Ok(response.map(Body::full))
    }

    /// The same with a `body` that is sent as it comes, in the place of the request's own. It can be
    /// sent once.
    ///
    /// The default has read the whole body, of 64 MiB at most, before it sends it.
    async fn upload(
        &self,
        mut request: Request,
        body: Body,
    ) -> Result<http::Response<Body>, HttpError> {
        let read = body.read_within(request.deadline, UPLOAD_LIMIT).await;
        request.body = read.map_err(|cause| {
            let cause = match cause {
                HttpErrorCause::TooLarge(most) => HttpErrorCause::Setup(format!(
                    "the body to be sent is larger than {most} bytes"
                )),
                other => other,
            };
            HttpError::new(&request.url, cause)
        })?;
        self.open(request).await
    }
}

/// Time.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current wall time.
    fn now(&self) -> SystemTime;
    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// The person at the keyboard.
#[async_trait]
pub trait Interaction: Send + Sync {
    /// Asks the person to visit `url` in a browser. It must show the URL too, because a browser
    /// that "opened" may be on a screen that nobody sees.
    async fn open(&self, url: &Url);

    /// Asks the person to enter a code on any device they like: they must see the code, the place
    /// and its host. The login goes on meanwhile, and drops the future when it ends first.
    ///
    /// The default can only open a URL: the one with the code in it where there is one. Where there
    /// is none it warns, because nobody sees the code.
    async fn show_code(&self, prompt: &DevicePrompt) {
        let complete = prompt.verification_uri_complete.as_ref();
        if complete.is_none() {
            let at = without_query(&prompt.verification_uri);
            tracing::warn!(%at, "this application has no way to show the code to enter there");
        }
        self.open(complete.unwrap_or(&prompt.verification_uri))
            .await;
    }

    /// A redirect URL that reached us by another way than the loopback listener: pasted by the
    /// person (over SSH, the browser cannot reach our listener), or delivered by the operating
    /// system to an application with a custom URI scheme. The default never returns.
    ///
    /// The future may be dropped and asked for again at any time, so nothing that came in may be
    /// lost with it.
    async fn callback(&self) -> String {
        std::future::pending().await
    }
}

/// One request: where to, what, how far it may reach and how much may come back.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; wiped from memory with its last copy when it was made by [`Request::form`].
    pub body: Bytes,
    /// How private an address this request may go to, and by what.
    pub reach: Reach,
    /// The time for the whole exchange.
    pub deadline: Duration,
    /// The size of the body that may come back, after decoding.
    pub body_limit: usize,
    /// Whether the body of the answer is left unread: status and headers are all that is wanted.
    pub head_only: bool,
}

impl Request {
    /// A request without a body, that waits [`TOKEN_DEADLINE`].
    pub fn new(method: Method, url: Url, reach: Reach) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            reach,
            deadline: TOKEN_DEADLINE,
            body_limit: BODY_LIMIT,
            head_only: false,
        }
    }

    /// A `GET` for JSON metadata, that waits [`METADATA_DEADLINE`].
    pub fn metadata(url: Url, reach: Reach) -> Self {
        Self {
            deadline: METADATA_DEADLINE,
            ..Self::new(Method::GET, url, reach)
        }
        .accepting_json()
    }

    /// A `POST` of a form, whose body is wiped from memory after use.
    pub fn form(url: Url, reach: Reach, fields: &[(&str, &str)]) -> Self {
        // Room for the worst case of percent-encoding, so that no copy is left behind by growth.
        let room = fields
            .iter()
            .map(|(k, v)| 3 * (k.len() + v.len()) + 2)
            .sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(room));
        form.extend_pairs(fields);
        let body = Zeroizing::new(form.finish().into_bytes());
        let mut request = Self::new(Method::POST, url, reach).accepting_json();
        request.body = Bytes::from_owner(body);
        // Without a charset parameter: some endpoints refuse it.
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(header::CONTENT_TYPE, form_type);
        request
    }

    /// A `POST` of a JSON text.
    pub fn json(url: Url, reach: Reach, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url, reach).accepting_json();
        request.body = body.into();
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(header::CONTENT_TYPE, json);
        request
    }

    fn accepting_json(mut self) -> Self {
        self.headers
            .insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &without_query(&self.url).as_str())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .field("reach", &self.reach)
            .finish_non_exhaustive()
    }
}

/// One response, read to its end.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The address that answered, where it is known (behind a proxy it is not).
    pub remote: Option<IpAddr>,
}

impl Response {
    /// A response of given parts, for scripted clients.
    pub fn new(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers,
            body: body.into(),
            remote: None,
        }
    }

    /// The text of a header, the first of several, if it is visible ASCII.
    pub fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The network failed before there was a response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no answer from {url}: {cause}")]
#[non_exhaustive]
pub struct HttpError {
    /// Where the request went, without its query.
    pub url: Url,
    /// Why nothing came back.
    #[source]
    pub cause: HttpErrorCause,
}

/// Why there is no response.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpErrorCause {
    /// The network policy forbids the URL, or the address that its name resolves to.
    #[error(transparent)]
    Forbidden(#[from] UnsafeUrl),
    /// The request was never sent: no such host, connection refused, no version of TLS in common.
    #[error("cannot connect ({0})")]
    Connect(String),
    /// The request was never sent: the server's certificate does not prove who it is.
    #[error("the certificate of the server is not accepted ({0})")]
    Certificate(String),
    /// The request was never sent: what listens at that port does not speak TLS, as where `https` is
    /// written and the server is on `http`.
    #[error("the server does not speak TLS at this port")]
    NotTls,
    /// The request was not read: the server wants to see a certificate of the client's, and there is
    /// none, or not one that it takes.
    #[error("the server wants a certificate of the client that it accepts")]
    CertificateRequired,
    /// The request was sent, and the connection broke before the whole answer was here.
    #[error("the connection broke ({0})")]
    Interrupted(String),
    /// The time for the request was over.
    #[error("no complete answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// More came than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The head of the answer has more lines, or longer ones, than any honest one (H15).
    #[error("the head of the answer is too large")]
    HeadTooLarge,
    /// The HTTP client could not be set up.
    #[error("the HTTP client cannot start ({0})")]
    Setup(String),
    /// The request was never sent, because it needs a proof of possession and there is none.
    #[error("not sent: {0}")]
    Unproven(String),
}

impl HttpError {
    /// An error at `url`, whose query is dropped.
    pub fn new(url: &Url, cause: HttpErrorCause) -> Self {
        Self {
            url: without_query(url),
            cause,
        }
    }

    /// Whether one side does not accept the certificate of the other.
    pub fn is_about_certificates(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorCause::Certificate(_) | HttpErrorCause::CertificateRequired
        )
    }

    /// Whether the request surely did not reach the server, so that it may be sent again.
    pub fn never_sent(&self) -> bool {
        matches!(
            self.cause,
            HttpErrorCause::Connect(_)
                | HttpErrorCause::Certificate(_)
                | HttpErrorCause::CertificateRequired
                | HttpErrorCause::NotTls
                | HttpErrorCause::Unproven(_)
        )
    }
}

/// A URL as it may be shown: a query may hold a code or a token.
pub(crate) fn without_query(url: &Url) -> Url {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    shown
}
