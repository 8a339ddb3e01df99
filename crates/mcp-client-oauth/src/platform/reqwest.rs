//! The network, by reqwest: no redirects, no cookies, bounded in size and time, and with the
//! address rule applied to the very address that is connected to (H31-H37).

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::{
    address_policy::AddressSpace,
    body::{Body, SyncBody},
    http_client::{HttpClient, METADATA_DEADLINE, Request, Response},
    http_error::{HttpError, HttpErrorKind},
    reqwest_error::{cause_of, chain},
    resolver::{PolicedResolver, Resolver, SystemResolver},
    tls::Trust,
    without_query::without_query,
};
#[cfg(feature = "mcp")]
use crate::server_url::ServerUrl;
use crate::{
    secret::Secret,
    server_url::{is_in_clear, is_loopback},
};

/// Holds what a server sees as our name.
const USER_AGENT: &str = concat!("mcp-client-oauth/", env!("CARGO_PKG_VERSION"));

/// An [`HttpClient`] over reqwest and rustls.
///
/// It costs nothing until the first request: TLS roots are read then. Connections are pooled by
/// [`AddressSpace`], because the address rule is part of the connector. The proxies of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never for loopback or for what is not encrypted;
/// behind a proxy the proxy resolves names, so there the rule can judge literal addresses only.
#[derive(Debug)]
pub struct ReqwestClient {
    direct: [OnceLock<reqwest::Client>; AddressSpace::COUNT],
    proxied: OnceLock<reqwest::Client>,
    proxies: OnceLock<Matcher>,
    trust: Trust,
    names: Arc<dyn Resolver>,
}

impl Default for ReqwestClient {
    fn default() -> Self {
        Self {
            direct: Default::default(),
            proxied: OnceLock::new(),
            proxies: OnceLock::new(),
            trust: Trust::default(),
            names: Arc::new(SystemResolver),
        }
    }
}

impl ReqwestClient {
    /// Trusts the certificate authorities of `bundle` (PEM), and none of the system's: for a server
    /// with a certificate of its house.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if there is no certificate in it.
    pub fn with_roots(mut self, bundle: &[u8]) -> Result<Self, HttpErrorKind> {
        self.trust.with_only_roots(bundle)?;
        Ok(self.afresh())
    }

    /// Trusts the certificate authorities of `bundle` (PEM) besides those that it trusts already: for
    /// a network with an authority of its own.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if there is no certificate in it.
    pub fn with_extra_roots(mut self, bundle: &[u8]) -> Result<Self, HttpErrorKind> {
        self.trust.with_extra_roots(bundle)?;
        Ok(self.afresh())
    }

    /// Shows the certificate of `pem` to servers that ask for one (mutual TLS), and proves it by its
    /// key, which is in `pem` too. It says who we are to each server that asks, the authorization
    /// server among them, and nothing else of ours.
    ///
    /// # Errors
    /// [`HttpErrorKind::Setup`] if either is missing, or the key is encrypted.
    pub fn with_identity(mut self, pem: &Secret<Vec<u8>>) -> Result<Self, HttpErrorKind> {
        self.trust.with_client_identity(pem)?;
        Ok(self.afresh())
    }

    /// Finds addresses by `resolver` instead of the system. What it answers is judged by the network
    /// policy. Behind a proxy, which resolves names itself, it is not asked.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.names = resolver;
        self.afresh()
    }

    /// Without the connections that were made otherwise.
    fn afresh(self) -> Self {
        Self {
            direct: Default::default(),
            proxied: OnceLock::new(),
            ..self
        }
    }

    fn client(&self, route: Route) -> Result<&reqwest::Client, HttpErrorKind> {
        let slot = match route {
            Route::Proxied => &self.proxied,
            Route::Direct(reach) => &self.direct[reach as usize],
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
        let builder = self.trust.apply(builder);
        let builder = match route {
            Route::Proxied => builder,
            Route::Direct(reach) => {
                let names = Arc::clone(&self.names);
                builder
                    .no_proxy()
                    .dns_resolver(PolicedResolver { names, reach })
            }
        };
        builder
            .build()
            .map_err(|error| HttpErrorKind::Setup(chain(&error)))
    }

    /// For requests to `server` itself, wherever the person says it is: no redirects, no deadline for
    /// the whole exchange, because an event stream has none.
    #[cfg(feature = "mcp")]
    pub(crate) fn client_of(&self, server: &ServerUrl) -> Result<reqwest::Client, HttpError> {
        let (url, reach) = (server.as_url(), AddressSpace::for_server(server));
        // No resolver is asked about a literal address.
        let allowed = reach.check_url(url).map_err(HttpErrorKind::from);
        let client = allowed.and_then(|()| self.client(self.route(url, reach)));
        client.cloned().map_err(|cause| HttpError::new(url, cause))
    }

    /// Returns the way to `url`, which may be visited with this `reach`.
    fn route(&self, url: &Url, reach: AddressSpace) -> Route {
        match reach {
            // Who a proxy would hand it to, nobody knows.
            AddressSpace::PrivateOverHttp if is_in_clear(url) => {
                Route::Direct(AddressSpace::PrivateOverHttp)
            }
            _ if is_proxied(self.proxies.get_or_init(Matcher::from_system), url) => Route::Proxied,
            AddressSpace::PrivateOverHttp => Route::Direct(AddressSpace::Private),
            reach => Route::Direct(reach),
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

    /// Sends a request, and returns when the head of the answer is here; and which way that went.
    async fn head(
        &self,
        request: Request,
        body: Option<Body>,
    ) -> Result<(reqwest::Response, Route), HttpErrorKind> {
        request.reach.check_url(&request.url)?;
        let route = self.route(&request.url, request.reach);
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

    /// Returns with the head of an answer, whose body is read as it comes.
    async fn begin(
        &self,
        request: Request,
        body: Option<Body>,
    ) -> Result<http::Response<Body>, HttpError> {
        let (told, deadline) = (Told::of(&request), request.deadline);
        let outcome = told.within(deadline, self.head(request, body)).await;
        told.end(outcome.as_ref().map(|(response, _)| response.status()));
        let (head, body) = http::Response::from(outcome?.0).into_parts();
        let body = body.map_err(|error| cause_of(&error));
        Ok(http::Response::from_parts(head, Body::new(body)))
    }
}

/// By whom a connection is made: each has a pool of its own.
#[derive(Clone, Copy, Debug)]
enum Route {
    /// By the proxy of the environment.
    Proxied,
    /// To an address that the rule of this reach allows. [`AddressSpace::PrivateOverHttp`] is for what is
    /// not encrypted; the rest of that reach goes by the way of [`AddressSpace::Private`].
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
        let (told, deadline) = (Told::of(&request), request.deadline);
        let outcome = told.within(deadline, self.exchange(request)).await;
        told.end(outcome.as_ref().map(|response| response.status));
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

/// Holds what the log says of one request.
struct Told {
    method: Method,
    url: Url,
}

impl Told {
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
                tracing::debug!(%method, %url, status, "answered");
            }
            Err(error) => tracing::debug!(%method, %error, "not answered"),
        }
    }
}

/// Reads the body while counting: what a server says of its length is not believed.
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
