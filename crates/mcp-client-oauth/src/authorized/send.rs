//! Requests by any HTTP client.

use std::{future::Future, sync::Arc};

use http::Method;
use url::Url;

use super::{
    credentials::Credentials,
    retry::{Head, RequestProof, exchange, token_for},
};
use crate::{error::Error, platform::Platform, session::TokenSource};

/// Sends requests with a token from a [`TokenSource`]. Cloning shares it.
///
/// ```no_run
/// # async fn run(session: mcp_client_oauth::Session) -> Result<(), mcp_client_oauth::Error> {
/// use std::sync::Arc;
/// use mcp_client_oauth::{Authorized, platform::Platform};
///
/// let server = Authorized::new(Platform::system(), Arc::new(session));
/// let notes = server.get("https://mcp.example/mcp/notes".parse().unwrap()).send().await?;
/// assert!(notes.status.is_success());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Authorized {
    pub(super) platform: Platform,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) retry: bool,
}

impl Authorized {
    /// Uses `source` for the tokens and `platform` for requests that are made here.
    pub fn new(platform: Platform, source: Arc<dyn TokenSource>) -> Self {
        Self {
            platform,
            source,
            retry: true,
        }
    }

    /// Returns whether a refused request is sent again with another token. It is, unless switched off.
    #[must_use]
    pub fn retry_on_401(mut self, retry: bool) -> Self {
        self.retry = retry;
        self
    }

    /// Calls `send` with what a request of this `method` to `url` needs, by any HTTP client; if the
    /// answer is a challenge, again with another token or proof.
    ///
    /// `send` must make the same request each time, and send it once: with
    /// [`Credentials::apply`] it sets the headers. The last answer is returned, whatever its status.
    ///
    /// # Errors
    /// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource) if `url` is not part of
    /// what the token is for: a token goes nowhere else (H90). What the source says when there is no
    /// token; what `send` says.
    pub async fn send<B, F, Fut>(
        &self,
        method: &Method,
        url: &Url,
        send: F,
    ) -> Result<http::Response<B>, Error>
    where
        F: Fn(Credentials) -> Fut,
        Fut: Future<Output = Result<http::Response<B>, Error>>,
    {
        let head = |outcome: &Result<http::Response<B>, Error>| match outcome {
            Ok(response) => Some(Head::of(response)),
            Err(_) => None,
        };
        exchange(&*self.source, method, url, send, head, || self.retry).await?
    }

    /// Returns what one request of this `method` to `url` needs: its `Authorization` header, and the proof
    /// besides if the token is bound to a key. For whoever sends it by other means, once; nothing is
    /// learnt of the answer, so a refused token is for the caller to replace
    /// ([`TokenSource::replace`]).
    ///
    /// ```no_run
    /// # async fn run(server: mcp_client_oauth::Authorized) -> Result<(), Box<dyn std::error::Error>> {
    /// let url = "https://mcp.example/mcp/notes".parse()?;
    /// let mut headers = http::HeaderMap::new();
    /// server.credentials(&http::Method::GET, &url).await?.apply(&mut headers);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource); what the source says
    /// when there is no token.
    pub async fn credentials(&self, method: &Method, url: &Url) -> Result<Credentials, Error> {
        let token = token_for(&*self.source, url).await?;
        let bond = RequestProof::of(&*self.source, &token, method, url)?;
        let proof = bond.map(|bond| bond.proof.header);
        Ok(Credentials::new(token.header(), proof))
    }
}

impl std::fmt::Debug for Authorized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorized")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}
