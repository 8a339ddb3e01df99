//! The network, by reqwest: no redirects, no cookies, bounded in size and time, and with the
//! address rule applied to the very address that is connected to (H31-H37).

use std::{error::Error as _, net::SocketAddr, sync::OnceLock, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::{
    Body, HttpClient, HttpError, HttpErrorCause, METADATA_DEADLINE, Reach, Request, Response,
    UnsafeUrl, without_query,
};
use crate::server_url::is_loopback;

/// What a server sees as our name.
const USER_AGENT: &str = concat!("mcp-client-oauth/", env!("CARGO_PKG_VERSION"));

/// An [`HttpClient`] over reqwest and rustls.
///
/// It costs nothing until the first request: TLS roots are read then. Connections are pooled by
/// [`Reach`], because the address rule is part of the connector. The proxies of the environment
/// (`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never for loopback; behind a proxy the proxy
/// resolves names, so there the rule can judge literal addresses only.
#[derive(Debug, Default)]
pub struct ReqwestClient {
    direct: [OnceLock<reqwest::Client>; 4],
    proxied: OnceLock<reqwest::Client>,
    proxies: OnceLock<Matcher>,
    /// In place of the platform's roots, if there are any.
    roots: Vec<reqwest::Certificate>,
}

impl ReqwestClient {
    /// A client that trusts the certificate authorities of `bundle` (PEM) and no others: for a
    /// server with a certificate of its house.
    ///
    /// # Errors
    /// [`HttpErrorCause::Setup`] if there is no certificate in it.
    pub fn with_roots(bundle: &[u8]) -> Result<Self, HttpErrorCause> {
        let roots = reqwest::Certificate::from_pem_bundle(bundle)
            .map_err(|error| HttpErrorCause::Setup(chain(&error)))?;
        if roots.is_empty() {
            let why = "the CA bundle has no certificate in PEM form";
            return Err(HttpErrorCause::Setup(why.to_owned()));
        }
        Ok(Self {
            roots,
            ..Self::default()
        })
    }

    fn client(&self, reach: Reach, proxied: bool) -> Result<&reqwest::Client, HttpErrorCause> {
        let slot = if proxied {
            &self.proxied
        } else {
            &self.direct[reach as usize]
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let client = build(reach, proxied, &self.roots)?;
        Ok(slot.get_or_init(|| client))
    }

    fn is_proxied(&self, url: &Url) -> bool {
        is_proxied(self.proxies.get_or_init(Matcher::from_system), url)
    }

    async fn exchange(&self, request: Request) -> Result<Response, HttpErrorCause> {
        let (head_only, limit) = (request.head_only, request.body_limit);
        let (mut response, proxied) = self.head(request).await?;
        let remote = response
            .remote_addr()
            .filter(|_| !proxied)
            .map(|address| address.ip());
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

    /// Sends a request, and returns when the head of the answer is here; and whether by a proxy.
    async fn head(&self, request: Request) -> Result<(reqwest::Response, bool), HttpErrorCause> {
        request.reach.allows(&request.url)?;
        let proxied = self.is_proxied(&request.url);
        let client = self.client(request.reach, proxied)?;
        let response = client
            .request(request.method, request.url)
            .headers(request.headers)
            .body(request.body)
            .send()
            .await
            .map_err(|error| cause_of(&error))?;
        Ok((response, proxied))
    }
}

/// A client for requests to `server` itself, wherever the person says it is: no redirects, no
/// deadline for the whole exchange, because an event stream has none.
#[cfg(feature = "mcp")]
pub(crate) fn application_client(server: &Url) -> Result<reqwest::Client, HttpError> {
    let proxied = is_proxied(&Matcher::from_system(), server);
    build(Reach::Loopback, proxied, &[]).map_err(|cause| HttpError::new(server, cause))
}

fn build(
    reach: Reach,
    proxied: bool,
    roots: &[reqwest::Certificate],
) -> Result<reqwest::Client, HttpErrorCause> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(METADATA_DEADLINE);
    let builder = if roots.is_empty() {
        builder
    } else {
        builder.tls_certs_only(roots.iter().cloned())
    };
    let builder = if proxied {
        builder
    } else {
        builder.no_proxy().dns_resolver(PolicedResolver { reach })
    };
    builder
        .build()
        .map_err(|error| HttpErrorCause::Setup(chain(&error)))
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

    async fn open(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        let (told, deadline) = (Told::of(&request), request.deadline);
        let outcome = told.within(deadline, self.head(request)).await;
        told.end(outcome.as_ref().map(|(response, _)| response.status()));
        let (head, body) = http::Response::from(outcome?.0).into_parts();
        let body = body.map_err(|error| cause_of(&error));
        Ok(http::Response::from_parts(head, Body::new(body)))
    }
}

/// What the log says of one request.
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
        exchange: impl Future<Output = Result<T, HttpErrorCause>>,
    ) -> Result<T, HttpError> {
        let outcome = tokio::time::timeout(deadline, exchange).await;
        outcome
            .unwrap_or(Err(HttpErrorCause::TimedOut(deadline)))
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
async fn read_body(
    response: &mut reqwest::Response,
    limit: usize,
) -> Result<Bytes, HttpErrorCause> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| cause_of(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(HttpErrorCause::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn cause_of(error: &reqwest::Error) -> HttpErrorCause {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(forbidden) = inner.downcast_ref::<UnsafeUrl>() {
            return HttpErrorCause::Forbidden(forbidden.clone());
        }
        source = inner.source();
    }
    let text = chain(error);
    if error.is_connect() {
        HttpErrorCause::Connect(text)
    } else {
        HttpErrorCause::Interrupted(text)
    }
}

/// The innermost reason: the outer ones repeat "error sending request", and may hold the URL.
fn chain(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if std::ptr::addr_eq(innermost, error) {
        "the request failed".to_owned()
    } else {
        innermost.to_string()
    }
}

/// Resolves names by the system, and lets only those addresses through that the reach allows:
/// the check and the connection use the same answer, so that a rebinding name gains nothing.
#[derive(Debug)]
struct PolicedResolver {
    reach: Reach,
}

impl Resolve for PolicedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.reach;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let allowed = allowed(host, found, reach)?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Of what a name resolves to, what may be connected to (H35-H37).
fn allowed(
    host: String,
    found: Vec<SocketAddr>,
    reach: Reach,
) -> Result<Vec<SocketAddr>, UnsafeUrl> {
    let (allowed, refused): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| Reach::of(address.ip()) <= reach);
    match (allowed.is_empty(), refused.first()) {
        (true, Some(address)) => Err(UnsafeUrl::Address(host, Reach::of(address.ip()))),
        _ => Ok(allowed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_judged_by_the_address_that_it_resolves_to() {
        let resolve = async |reach| {
            let name = "localhost".parse().unwrap();
            PolicedResolver { reach }.resolve(name).await
        };
        let addresses = resolve(Reach::Loopback).await.unwrap();
        assert!(addresses.count() > 0);
        for reach in [Reach::Public, Reach::Private, Reach::LinkLocal] {
            let Err(error) = resolve(reach).await else {
                panic!("{reach:?}");
            };
            let forbidden = error.downcast_ref::<UnsafeUrl>();
            let is_address = matches!(forbidden, Some(UnsafeUrl::Address(_, Reach::Loopback)));
            assert!(is_address, "{reach:?}: {error}");
        }
    }

    #[test]
    fn of_mixed_addresses_only_the_allowed_are_connected_to() {
        let address = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let (public, metadata) = (address("93.184.215.14"), address("169.254.169.254"));
        let (own, mapped) = (address("::1"), address("::ffff:10.0.0.1"));
        let judged = |found: &[SocketAddr], reach| allowed("h".to_owned(), found.to_vec(), reach);
        let all = [metadata, public, own, mapped];
        assert_eq!(judged(&all, Reach::Public), Ok(vec![public]));
        assert_eq!(judged(&all, Reach::Private), Ok(vec![public, mapped]));
        assert_eq!(judged(&all, Reach::Loopback), Ok(all.to_vec()));
        assert_eq!(judged(&[], Reach::Public), Ok(Vec::new()));
        assert_eq!(
            judged(&[metadata, own], Reach::Public),
            Err(UnsafeUrl::Address("h".to_owned(), Reach::LinkLocal))
        );
    }
}
