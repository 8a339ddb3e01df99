//! The network: a request, its response, and the trait of what sends it.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use super::{
    address_policy::AddressSpace,
    body::Body,
    http_error::{HttpError, HttpErrorKind},
    without_query::without_query,
};

/// Says how long one metadata request may take, from the connection to the last byte.
pub const METADATA_DEADLINE: Duration = Duration::from_secs(10);
/// Says how long one request to a token, registration or revocation endpoint may take.
pub const TOKEN_DEADLINE: Duration = Duration::from_secs(30);
/// Says how much of a body is held that cannot be sent as it comes.
const UPLOAD_LIMIT: usize = 64 << 20;
/// Says how large the body of an OAuth answer may be.
pub const BODY_LIMIT: usize = 1 << 20;

/// Sends one request. It never follows a redirect, keeps no cookies, reads no more than the request
/// allows, and goes where the request's [`AddressSpace`] allows it: by [`AddressSpace::allows`] of the URL, and by
/// [`AddressSpace::allows_address`] of the address that it connects to.
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends `request` and returns the whole response, whatever its status.
    async fn send(&self, request: Request) -> Result<Response, HttpError>;

    /// Returns the same, for an answer that is read as it comes: an event stream has no end. The deadline is
    /// for the head of the answer, and whoever reads the body says how large it may be.
    ///
    /// The default has read the whole answer before it returns.
    async fn send_streaming(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        let response = http::Response::from(self.send(request).await?);
        Ok(response.map(Body::full))
    }

    /// Returns the same with a `body` that is sent as it comes, in the place of the request's own. It can be
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
                HttpErrorKind::TooLarge(most) => {
                    HttpErrorKind::Setup(format!("the body to be sent is larger than {most} bytes"))
                }
                other => other,
            };
            HttpError::new(&request.url, cause)
        })?;
        self.send_streaming(request).await
    }
}

/// One request: where to, what, how far it may reach and how much may come back.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Says where to.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; wiped from memory with its last copy when it was made by [`Request::form`].
    pub body: Bytes,
    /// Says how private an address this request may go to, and by what.
    pub reach: AddressSpace,
    /// The time for the whole exchange.
    pub deadline: Duration,
    /// The size of the body that may come back, after decoding.
    pub body_limit: usize,
    /// Says whether the body of the answer is left unread: status and headers are all that is wanted.
    pub head_only: bool,
}

impl Request {
    /// A request without a body, that waits [`TOKEN_DEADLINE`].
    pub fn new(method: Method, url: Url, reach: AddressSpace) -> Self {
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
    pub fn metadata(url: Url, reach: AddressSpace) -> Self {
        Self {
            deadline: METADATA_DEADLINE,
            ..Self::new(Method::GET, url, reach)
        }
        .accepting_json()
    }

    /// A `POST` of a form, whose body is wiped from memory after use.
    pub fn form(url: Url, reach: AddressSpace, fields: &[(&str, &str)]) -> Self {
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
    pub fn json(url: Url, reach: AddressSpace, body: impl Into<Bytes>) -> Self {
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

    /// Returns the text of a header, the first of several, if it is visible ASCII.
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
