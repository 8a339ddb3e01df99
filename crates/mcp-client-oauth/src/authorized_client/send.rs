//! Authorized requests with any HTTP client.

use std::{future::Future, sync::Arc};

use http::Method;
use url::Url;

use super::{
    credentials::Credentials,
    response_head::ResponseHead,
    retry::{Head, RequestProof, exchange, token_for},
};
use crate::{error::Error, platform::Platform, token_source::TokenSource};

/// Sends requests with a token from a [`TokenSource`]. Clones share the source.
///
/// ```no_run
/// # async fn run(session: mcp_client_oauth::Session) -> Result<(), mcp_client_oauth::Error> {
/// use http::Method;
/// use mcp_client_oauth::{adapters::AuthorizedClient, platform::Platform};
///
/// let server = AuthorizedClient::new(Platform::system(), session);
/// let url = "https://mcp.example/mcp/notes".parse().unwrap();
/// let notes = server.request(Method::GET, url).send().await?;
/// assert!(notes.status.is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct AuthorizedClient {
    pub(super) platform: Platform,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) retry: bool,
}

impl AuthorizedClient {
    /// Uses `source` for the tokens and `platform` for requests that are made here.
    pub fn new(platform: Platform, source: impl TokenSource + 'static) -> Self {
        Self {
            platform,
            source: Arc::new(source),
            retry: true,
        }
    }

    /// Sets whether a refused request is sent again with another token. On by default.
    #[must_use]
    pub fn retry_on_401(mut self, retry: bool) -> Self {
        self.retry = retry;
        self
    }

    /// Calls `send` with the credentials of a request with this `method` to `url`, and again with another
    /// token or proof if the response is a challenge. `send` can use any HTTP client.
    ///
    /// `send` must build the same request each time, set its headers with [`Credentials::apply`], and send
    /// it once, without following redirects. The last outcome of `send` is returned, whatever its status.
    ///
    /// # Errors
    /// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource) if `url` is not part of
    /// the token's resource (RFC 8707 §1); the error of the source if there is no token.
    pub async fn send<R, E, F, Fut>(
        &self,
        method: &Method,
        url: &Url,
        send: F,
    ) -> Result<Result<R, E>, Error>
    where
        R: ResponseHead,
        F: Fn(Credentials) -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let head = |outcome: &Result<R, E>| {
            let response = outcome.as_ref().ok()?;
            Some(Head::new(response.status(), response.headers()))
        };
        exchange(&*self.source, method, url, send, head, || self.retry).await
    }

    /// Returns the credentials of one request with this `method` to `url`: the `Authorization` header, and
    /// a proof if the token is bound to a key. For a caller that sends the request itself, once; the
    /// response is not seen here, so the caller replaces a refused token
    /// ([`TokenSource::refresh_after_rejection`]).
    ///
    /// ```no_run
    /// # async fn run(server: mcp_client_oauth::adapters::AuthorizedClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let url = "https://mcp.example/mcp/notes".parse()?;
    /// let mut headers = http::HeaderMap::new();
    /// server.credentials(&http::Method::GET, &url).await?.apply(&mut headers);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource); the error of the source if
    /// there is no token.
    pub async fn credentials(&self, method: &Method, url: &Url) -> Result<Credentials, Error> {
        let token = token_for(&*self.source, url).await?;
        let request_proof = RequestProof::of(&*self.source, &token, method, url)?;
        let proof = request_proof.map(|request_proof| request_proof.proof.header);
        Ok(Credentials::new(token.header(), proof))
    }
}

impl std::fmt::Debug for AuthorizedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizedClient")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}
