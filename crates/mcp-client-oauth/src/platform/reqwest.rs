//! The HTTP client, over reqwest: no redirects, no cookies, bounded in size and time. The address policy is
//! applied to the address that is connected to, so that a name cannot resolve to a forbidden one (MCP
//! security best practices, Server-Side Request Forgery).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::proxy::matcher::Matcher;
use mcp_oauth_support::Secret;
use url::Url;

use super::{
    address_policy::AddressSpace,
    body::{Body, SyncBody},
    http_client::{HttpClient, METADATA_DEADLINE, Request, Response},
    http_error::{HttpError, HttpErrorKind},
    reqwest_error::{cause_of, chain},
    resolver::{PolicedResolver, Resolver, SystemResolver},
    tls::TlsConfig,
    without_query::without_query,
};
#[cfg(feature = "mcp")]
use crate::server_url::ServerUrl;
use crate::server_url::{is_loopback, is_plaintext};

/// The `User-Agent` header.
const USER_AGENT: &str = concat!("mcp-client-oauth/", env!("CARGO_PKG_VERSION"));

/// An [`HttpClient`] over reqwest and rustls.
///
/// The TLS roots are read by the first request, so creating a client is cheap. Connections are pooled by
/// [`AddressSpace`], because the address policy is part of the connector. The proxies of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never for loopback or for plain http to a private
/// network; behind a proxy the proxy resolves names, so there the policy checks literal addresses only.
#[derive(Debug)]
pub struct ReqwestClient {
    direct: [OnceLock<reqwest::Client>; AddressSpace::COUNT],
    proxied: OnceLock<reqwest::Client>,
    proxies: OnceLock<Matcher>,
    tls: TlsConfig,
    resolver: Arc<dyn Resolver>,
}

impl Default for ReqwestClient {
    fn default() -> Self {
        Self {
            direct: Default::default(),
            proxied: OnceLock::new(),
            proxies: OnceLock::new(),
            tls: TlsConfig::default(),
            resolver: Arc::new(SystemResolver),
        }
    }
}

impl ReqwestClient {
    /// Trusts only the certificate authorities of `bundle` (PEM), and not those of the system.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if it has no certificate.
    pub fn with_roots(mut self, bundle: &[u8]) -> Result<Self, HttpErrorKind> {
        self.tls.with_only_roots(bundle)?;
        Ok(self.without_connections())
    }

    /// Trusts the certificate authorities of `bundle` (PEM) too: for a network with its own authority.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if it has no certificate.
    pub fn with_extra_roots(mut self, bundle: &[u8]) -> Result<Self, HttpErrorKind> {
        self.tls.with_extra_roots(bundle)?;
        Ok(self.without_connections())
    }

    /// Authenticates with the client certificate and key of `pem` to each server that requests a
    /// certificate (mutual TLS), the authorization server included.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if either is missing, or the key is encrypted.
    pub fn with_identity(mut self, pem: &Secret<Vec<u8>>) -> Result<Self, HttpErrorKind> {
        self.tls.with_client_identity(pem)?;
        Ok(self.without_connections())
    }

    /// Resolves names by `resolver` instead of the system. The address policy is applied to its results. It
    /// is not used behind a proxy, which resolves names itself.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self.without_connections()
    }

    /// Drops the connections that were made with other settings.
    fn without_connections(self) -> Self {
        Self {
            direct: Default::default(),
            proxied: OnceLock::new(),
            ..self
        }
    }

    fn client(&self, route: Route) -> Result<&reqwest::Client, HttpErrorKind> {
        let slot = match route {
            Route::Proxied => &self.proxied,
            Route::Direct(address_space) => &self.direct[address_space as usize],
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = self.build(route)?;
        Ok(slot.get_or_init(|| client))
    }

    fn build(&self, route: Route) -> Result<reqwest::Client, HttpErrorKind> {
        let builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(METADATA_DEADLINE);
        let builder = self.tls.apply(builder);
        let builder = match route {
            Route::Proxied => builder,
            Route::Direct(address_space) => {
                let inner = Arc::clone(&self.resolver);
                builder.no_proxy().dns_resolver(PolicedResolver {
                    inner,
                    address_space,
                })
            }
        };
        builder
            .build()
            .map_err(|error| HttpErrorKind::Setup(chain(&error)))
    }

    /// Returns a client for requests to `server` itself at an address that `address_space` allows: no
    /// redirects, and no time limit for the whole exchange, because an event stream has none.
    #[cfg(feature = "mcp")]
    pub(crate) fn client_of(
        &self,
        server: &ServerUrl,
        address_space: AddressSpace,
    ) -> Result<reqwest::Client, HttpError> {
        let url = server.as_url();
        // A literal address is not resolved, so it is checked here.
        let allowed = address_space.check_url(url).map_err(HttpErrorKind::from);
        let client = allowed.and_then(|()| self.client(self.route(url, address_space)));
        client.cloned().map_err(|cause| HttpError::new(url, cause))
    }

    /// Returns the route to `url` for a request that is limited to this `address_space`.
    fn route(&self, url: &Url, address_space: AddressSpace) -> Route {
        match address_space {
            // A proxy could forward unencrypted requests to a public address.
            AddressSpace::PrivateOverHttp if is_plaintext(url) => {
                Route::Direct(AddressSpace::PrivateOverHttp)
            }
            _ if is_proxied(self.proxies.get_or_init(Matcher::from_system), url) => Route::Proxied,
            AddressSpace::PrivateOverHttp => Route::Direct(AddressSpace::Private),
            address_space => Route::Direct(address_space),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Response, HttpErrorKind> {
        let (head_only, limit) = (request.head_only, request.body_limit);
        let (mut response, route) = self.head(request, None).await?;
        let remote = match route {
            Route::Proxied => None,
            Route::Direct(_) => response.remote_addr().map(|address| address.ip()),
        };
        let body = if head_only {
            Bytes::new()
        } else {
            read_body(&mut response, limit).await?
        };
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(Response {
            status,
            headers,
            body,
            remote,
        })
    }

    /// Sends a request, and returns the head of the response and the route.
    async fn head(
        &self,
        request: Request,
        body: Option<Body>,
    ) -> Result<(reqwest::Response, Route), HttpErrorKind> {
        request.address_space.check_url(&request.url)?;
        let route = self.route(&request.url, request.address_space);
        let client = self.client(route)?;
        let body = match body {
            Some(body) => reqwest::Body::wrap(SyncBody::new(body)),
            None => request.body.into(),
        };
        let response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(body)
            .send()
            .await
            .map_err(|error| cause_of(&error))?;
        Ok((response, route))
    }

    /// Sends a request, and returns the head of the response with a streamed body.
    async fn begin(
        &self,
        request: Request,
        body: Option<Body>,
    ) -> Result<http::Response<Body>, HttpError> {
        let (log, deadline) = (RequestLog::of(&request), request.deadline);
        let outcome = log.within(deadline, self.head(request, body)).await;
        log.end(outcome.as_ref().map(|(response, _)| response.status()));
        let (head, body) = http::Response::from(outcome?.0).into_parts();
        let body = body.map_err(|error| cause_of(&error));
        Ok(http::Response::from_parts(head, Body::new(body)))
    }
}

/// The route of a connection. Each has its own pool.
#[derive(Clone, Copy, Debug)]
enum Route {
    /// Through the proxy of the environment.
    Proxied,
    /// To an address that this address space allows. [`AddressSpace::PrivateOverHttp`] is for plain http
    /// alone; https requests with it have the route of [`AddressSpace::Private`].
    Direct(AddressSpace),
}

fn is_proxied(proxies: &Matcher, url: &Url) -> bool {
    let Ok(uri) = url.as_str().parse::<http::Uri>() else {
        return false;
    };
    !is_loopback(url) && proxies.intercept(&uri).is_some()
}

#[async_trait]
impl HttpClient for ReqwestClient {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let (log, deadline) = (RequestLog::of(&request), request.deadline);
        let outcome = log.within(deadline, self.exchange(request)).await;
        log.end(outcome.as_ref().map(|response| response.status));
        outcome
    }

    async fn send_streaming(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        self.begin(request, None).await
    }

    async fn upload(
        &self,
        request: Request,
        body: Body,
    ) -> Result<http::Response<Body>, HttpError> {
        self.begin(request, Some(body)).await
    }
}

/// Logs one request.
struct RequestLog {
    method: Method,
    url: Url,
}

impl RequestLog {
    fn of(request: &Request) -> Self {
        tracing::trace!(?request, "sending");
        Self {
            method: request.method.clone(),
            url: request.url.clone(),
        }
    }

    async fn within<T>(
        &self,
        deadline: Duration,
        exchange: impl Future<Output = Result<T, HttpErrorKind>>,
    ) -> Result<T, HttpError> {
        let outcome = tokio::time::timeout(deadline, exchange).await;
        outcome
            .unwrap_or(Err(HttpErrorKind::TimedOut(deadline)))
            .map_err(|cause| HttpError::new(&self.url, cause))
    }

    fn end(&self, outcome: Result<StatusCode, &HttpError>) {
        let method = &self.method;
        match outcome {
            Ok(status) => {
                let (url, status) = (without_query(&self.url), status.as_u16());
                tracing::debug!(%method, %url, status, "response");
            }
            Err(error) => tracing::debug!(%method, %error, "no response"),
        }
    }
}

/// Reads the body and counts its bytes: `Content-Length` may be wrong.
async fn read_body(response: &mut reqwest::Response, limit: usize) -> Result<Bytes, HttpErrorKind> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause_of(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(HttpErrorKind::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}
