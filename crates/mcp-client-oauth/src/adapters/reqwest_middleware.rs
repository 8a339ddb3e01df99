//! Tokens for a chain of `reqwest-middleware`.
//!
//! ```no_run
//! # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_client_oauth::adapters::reqwest_middleware::AuthorizedMiddleware;
//!
//! // A redirect would send the token to another URL (RFC 9700 §4.12).
//! let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
//! let client = reqwest_middleware::ClientBuilder::new(http)
//!     .with(AuthorizedMiddleware::new(session))
//!     .build();
//! let response = client.get("https://mcp.example/mcp/notes").send().await?;
//! # Ok(())
//! # }
//! ```

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use super::Copies;
use crate::{
    authorized_client::{
        Credentials,
        retry::{Head, exchange},
    },
    mutex::lock,
    token_source::TokenSource,
};

/// Sends each request with a token, and again with another one if it is refused and its body is no
/// stream. Middleware after this one sees each attempt.
///
/// The client below must not follow redirects, because they would send the token to another URL (RFC 9700
/// §4.12).
#[derive(Clone)]
pub struct AuthorizedMiddleware(Arc<dyn TokenSource>);

impl AuthorizedMiddleware {
    /// Creates a middleware that sends tokens of `source`.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Self(Arc::new(source))
    }
}

#[async_trait]
impl Middleware for AuthorizedMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let (method, url) = (request.method().clone(), request.url().clone());
        let copies = Copies::new(request, Request::try_clone);
        // Extensions that later middleware sets are kept for the next attempt and for the caller.
        let shared = Mutex::new(std::mem::take(extensions));
        let attempt = |credentials: Credentials| {
            let (request, next, shared) = (copies.take(), next.clone(), &shared);
            async move {
                let Some(mut request) = request else {
                    let error = std::io::Error::other("there is no copy of the request");
                    return Err(Error::middleware(error));
                };
                credentials.apply(request.headers_mut());
                let mut own = std::mem::take(&mut *lock(shared));
                let outcome = next.run(request, &mut own).await;
                *lock(shared) = own;
                outcome
            }
        };
        let head = |outcome: &Result<Response>| {
            let response = outcome.as_ref().ok()?;
            Some(Head::new(response.status(), response.headers()))
        };
        let left = || copies.has_copy();
        let outcome = exchange(&*self.0, &method, &url, attempt, head, left).await;
        *extensions = std::mem::take(&mut *lock(&shared));
        outcome.map_err(Error::middleware)?
    }
}

impl fmt::Debug for AuthorizedMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedMiddleware")
            .field("server", self.0.server())
            .finish()
    }
}
