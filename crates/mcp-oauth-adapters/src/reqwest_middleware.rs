//! Tokens for a chain of `reqwest-middleware`.
//!
//! ```no_run
//! # async fn run(session: mcp_client_oauth::Session) -> Result<(), Box<dyn std::error::Error>> {
//! use mcp_oauth_adapters::reqwest_middleware::AuthorizedMiddleware;
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
use mcp_client_oauth::adapters::{self, Credentials, TokenSource};
use mcp_oauth_support::mutex::lock;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::copies::{Attempt, Copies};

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
            let copies = &copies;
            async move {
                let Some(mut request) = request else {
                    let error = std::io::Error::other("there is no copy of the request");
                    return Err(Error::middleware(error));
                };
                credentials.apply(request.headers_mut());
                let mut own = std::mem::take(&mut *lock(shared));
                let outcome = next.run(request, &mut own).await;
                *lock(shared) = own;
                let has_copy = copies.has_copy();
                outcome.map(|response| Attempt { response, has_copy })
            }
        };
        let outcome = adapters::send(&*self.0, &method, &url, attempt).await;
        *extensions = std::mem::take(&mut *lock(&shared));
        let sent = outcome.map_err(Error::middleware)??;
        Ok(sent.response)
    }
}

impl fmt::Debug for AuthorizedMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizedMiddleware")
            .field("server", self.0.server())
            .finish()
    }
}
