//! Tokens for any HTTP client that is a [`Service`] of [`http::Request`], such as hyper's.
//!
//! ```no_run
//! # use mcp_oauth_adapters::tower::BoxError;
//! # async fn run<S>(session: mcp_client_oauth::Session, client: S) -> Result<(), BoxError>
//! # where
//! #     S: tower::Service<http::Request<String>, Response = http::Response<String>>,
//! #     S: Clone + Send + 'static,
//! #     S::Future: Send,
//! #     S::Error: Into<BoxError>,
//! # {
//! use mcp_oauth_adapters::tower::AuthorizedLayer;
//! use tower::{Layer as _, ServiceExt as _};
//!
//! let client = AuthorizedLayer::new(session).layer(client);
//! let request = http::Request::get("https://mcp.example/mcp/notes").body(String::new())?;
//! let response = client.oneshot(request).await?;
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use http::{Request, Response};
use mcp_client_oauth::adapters::{self, Credentials, TokenSource};
use mcp_oauth_support::mutex::lock;
use tower_layer::Layer;
use tower_service::Service;
use url::Url;

use crate::copies::{Attempt, Copies};

/// An [`Error`](mcp_client_oauth::Error), the error of the service below, or a [`RelativeUriError`].
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Wraps a service in an [`AuthorizedService`].
#[derive(Clone)]
pub struct AuthorizedLayer<C = Cloned> {
    source: Arc<dyn TokenSource>,
    copy: C,
}

/// Sends each request with a token, and again with another one if it is refused and its body can be
/// copied.
///
/// The service below must not follow redirects, because they would send the token to another URL (RFC 9700
/// §4.12).
#[derive(Clone)]
pub struct AuthorizedService<S, C = Cloned> {
    inner: S,
    source: Arc<dyn TokenSource>,
    copy: C,
}

/// Copies a body, so that its request can be sent again.
pub trait CopyBody<B> {
    /// Returns a copy; none if the body can be sent only once.
    fn copy(&self, body: &B) -> Option<B>;
}

/// Copies a body by its `Clone`.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Cloned;

impl<B: Clone> CopyBody<B> for Cloned {
    fn copy(&self, body: &B) -> Option<B> {
        Some(body.clone())
    }
}

impl<B, F: Fn(&B) -> Option<B>> CopyBody<B> for F {
    fn copy(&self, body: &B) -> Option<B> {
        self(body)
    }
}

/// The URI of a request has no scheme and host, so it cannot be compared with the token's resource.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the URI `{0}` is not absolute, so no token is sent to it")]
pub struct RelativeUriError(http::Uri);

impl AuthorizedLayer {
    /// Creates a layer that sends tokens of `source`, for bodies that can be cloned.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Self {
            source: Arc::new(source),
            copy: Cloned,
        }
    }

    /// Sets how bodies are copied, for those that cannot be cloned: `|_| None` for streams. The refusal of a
    /// request without a copy is returned to the caller.
    pub fn copying<C>(self, copy: C) -> AuthorizedLayer<C> {
        AuthorizedLayer {
            source: self.source,
            copy,
        }
    }
}

impl<S, C: Clone> Layer<S> for AuthorizedLayer<C> {
    type Service = AuthorizedService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthorizedService {
            inner,
            source: Arc::clone(&self.source),
            copy: self.copy.clone(),
        }
    }
}

impl<S, B, R, C> Service<Request<B>> for AuthorizedService<S, C>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Send + 'static,
    R: Send + 'static,
    C: CopyBody<B> + Clone + Send + Sync + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        let services = Services {
            spare: clone.clone(),
            ready: Some(std::mem::replace(&mut self.inner, clone)),
        };
        let (source, copy) = (Arc::clone(&self.source), self.copy.clone());
        Box::pin(send(source, Mutex::new(services), copy, request))
    }
}

/// The service that is ready, for the first attempt, and a clone of it for each further attempt. A clone is
/// not ready: it may have to wait for capacity that the first one has reserved.
struct Services<S> {
    ready: Option<S>,
    spare: S,
}

impl<S: Clone> Services<S> {
    /// Returns the service for the next attempt, and whether it is ready.
    fn next(&mut self) -> (S, bool) {
        match self.ready.take() {
            Some(ready) => (ready, true),
            None => (self.spare.clone(), false),
        }
    }
}

async fn send<S, B, R, C>(
    source: Arc<dyn TokenSource>,
    services: Mutex<Services<S>>,
    copy: C,
    request: Request<B>,
) -> Result<Response<R>, BoxError>
where
    S: Service<Request<B>, Response = Response<R>> + Clone,
    S::Error: Into<BoxError>,
    C: CopyBody<B>,
{
    let uri = request.uri().clone();
    let url = uri.scheme().and_then(|_| Url::parse(&uri.to_string()).ok());
    let url = url.ok_or(RelativeUriError(uri))?;
    let method = request.method().clone();
    let copies = Copies::new(request, |request: &Request<B>| {
        let mut again = Request::new(copy.copy(request.body())?);
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    });
    let attempt = |credentials: Credentials| {
        let (request, copies) = (copies.take(), &copies);
        let mut services = lock(&services);
        let (mut service, is_ready) = services.next();
        async move {
            let mut request = request.ok_or("there is no copy of the request")?;
            credentials.apply(request.headers_mut());
            if !is_ready {
                let ready = poll_fn(|cx| service.poll_ready(cx)).await;
                ready.map_err(Into::into)?;
            }
            let response = service.call(request).await.map_err(Into::into)?;
            let has_copy = copies.has_copy();
            Ok::<_, BoxError>(Attempt { response, has_copy })
        }
    };
    let sent = adapters::send(&*source, &method, &url, attempt).await??;
    Ok(sent.response)
}

impl<C> fmt::Debug for AuthorizedLayer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedLayer")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}

impl<S, C> fmt::Debug for AuthorizedService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedService")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}
