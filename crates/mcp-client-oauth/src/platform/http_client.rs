//! A request, its response, and the trait of an HTTP client.

use std::{fmt, net::IpAddr, sync::Arc, time::Duration};

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

/// The time limit of a metadata request, from the connection to the last byte.
pub(crate) const METADATA_DEADLINE: Duration = Duration::from_secs(10);
/// The time limit of a request to a token, registration or revocation endpoint.
pub(crate) const TOKEN_DEADLINE: Duration = Duration::from_secs(30);
/// The size limit of a body that is buffered because the client cannot stream it.
const UPLOAD_LIMIT: usize = 64 << 20;
/// The size limit of the body of an OAuth response.
pub(crate) const BODY_LIMIT: usize = 1 << 20;

/// Sends requests. An implementation never follows a redirect, keeps no cookies, reads no more than the
/// request allows, and checks each request against its [`AddressSpace`]: the URL by
/// [`AddressSpace::check_url`], and the address that it connects to by [`AddressSpace::check_address`].
#[async_trait]
pub trait HttpClient: Send + Sync {
    /// Sends `request` and returns the whole response, whatever its status.
    async fn send(&self, request: Request) -> Result<Response, HttpError>;

    /// Sends `request` and returns a response with a streamed body: an event stream has no end. The time
    /// limit applies to the head of the response, and the caller limits the size of the body.
    ///
    /// The default implementation reads the whole response before it returns.
    async fn send_streaming(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        let response = http::Response::from(self.send(request).await?);
        Ok(response.map(Body::from))
    }

    /// Does the same as [`send_streaming`](Self::send_streaming) with a streamed `body`, which replaces the
    /// request's own.
    ///
    /// The default implementation reads the whole body, 64 MiB at most, before it sends it.
    async fn upload(
        &self,
        mut request: Request,
        body: Body,
    ) -> Result<http::Response<Body>, HttpError> {
        let read = body.read_within(request.deadline, UPLOAD_LIMIT).await;
        request.body = read.map_err(|cause| {
            let cause = match cause {
                HttpErrorKind::TooLarge(most) => {
                    HttpErrorKind::Setup(format!("the request body is larger than {most} bytes"))
                }
                other => other,
            };
            HttpError::new(&request.url, cause)
        })?;
        self.send_streaming(request).await
    }
}

#[async_trait]
impl<T: HttpClient + ?Sized> HttpClient for Arc<T> {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        (**self).send(request).await
    }

    async fn send_streaming(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        (**self).send_streaming(request).await
    }

    async fn upload(
        &self,
        request: Request,
        body: Body,
    ) -> Result<http::Response<Body>, HttpError> {
        (**self).upload(request, body).await
    }
}

/// A request, with the limits of its destination and its response.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: Url,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. A form of this crate is wiped from memory with its last copy.
    pub body: Bytes,
    /// The most private address space that this request may be sent to.
    pub address_space: AddressSpace,
    /// The time limit of the whole exchange.
    pub deadline: Duration,
    /// The size limit of the response body, after decoding.
    pub body_limit: usize,
    /// Says whether only the status and headers of the response are read.
    pub head_only: bool,
}

impl Request {
    /// Creates a request without a body and with a time limit of 30 seconds.
    pub fn new(method: Method, url: Url, address_space: AddressSpace) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            address_space,
            deadline: TOKEN_DEADLINE,
            body_limit: BODY_LIMIT,
            head_only: false,
        }
    }

    /// Creates a `GET` of JSON metadata with a time limit of 10 seconds.
    pub(crate) fn metadata(url: Url, address_space: AddressSpace) -> Self {
        Self {
            deadline: METADATA_DEADLINE,
            ..Self::new(Method::GET, url, address_space)
        }
        .accepting_json()
    }

    /// Creates a `POST` of a form. Its body is wiped from memory after use.
    pub(crate) fn form(url: Url, address_space: AddressSpace, fields: &[(&str, &str)]) -> Self {
        // The capacity fits the worst case of percent-encoding, so that no copy is left when it grows.
        let capacity = fields
            .iter()
            .map(|(k, v)| 3 * (k.len() + v.len()) + 2)
            .sum();
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(capacity));
        form.extend_pairs(fields);
        let body = Zeroizing::new(form.finish().into_bytes());
        let mut request = Self::new(Method::POST, url, address_space).accepting_json();
        request.body = Bytes::from_owner(body);
        // Without a charset parameter: some endpoints refuse it.
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers.insert(header::CONTENT_TYPE, form_type);
        request
    }

    /// Creates a `POST` of a JSON text.
    pub(crate) fn json(url: Url, address_space: AddressSpace, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url, address_space).accepting_json();
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
            .field("address_space", &self.address_space)
            .finish_non_exhaustive()
    }
}

/// A response that was read to its end.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The address of the server, if it is known (behind a proxy it is not).
    pub remote: Option<IpAddr>,
}

impl Response {
    /// Creates a response, for scripted clients.
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
