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

/// Calls `send` with the credentials of a request with this `method` to `url`, and again with another token
/// or proof if the response is a challenge. `send` can use any HTTP client.
///
/// `send` must build the same request each time, set its headers with [`Credentials::apply`], and send it
/// once, without following redirects. The last outcome of `send` is returned, whatever its status.
///
/// [`Session::send`](crate::Session::send) does this with the tokens of a session.
///
/// # Errors
/// [`OutsideResource`](crate::error::AuthorizationError::OutsideResource) if `url` is not part of the token's
/// resource (RFC 8707 §1); the error of the source if there is no token.
pub async fn send<R, E, F, Fut>(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
    send: F,
) -> Result<Result<R, E>, Error>
where
    R: ResponseHead,
    F: Fn(Credentials) -> Fut,
    Fut: Future<Output = Result<R, E>>,
{
    send_while(source, method, url, send, true).await
}

/// Does the same as [`send`], but sends a refused request again only if `retry` is true.
async fn send_while<R, E, F, Fut>(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
    send: F,
    retry: bool,
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
    let may_retry =
        |outcome: &Result<R, E>| retry && outcome.as_ref().is_ok_and(ResponseHead::can_retry);
    exchange(source, method, url, send, head, may_retry).await
}

/// Returns the credentials of one request with this `method` to `url`.
pub(crate) async fn credentials(
    source: &dyn TokenSource,
    method: &Method,
    url: &Url,
) -> Result<Credentials, Error> {
    let token = token_for(source, url).await?;
    let request_proof = RequestProof::of(source, &token, method, url)?;
    let proof = request_proof.map(|request_proof| request_proof.proof.header);
    Ok(Credentials::new(token.header(), proof))
}

/// Sends requests with a token from a [`TokenSource`]. Clones share the source.
#[derive(Clone)]
pub(crate) struct AuthorizedClient {
    pub(super) platform: Platform,
    pub(super) source: Arc<dyn TokenSource>,
    pub(super) retry: bool,
}

impl AuthorizedClient {
    /// Uses `source` for the tokens and `platform` for the requests.
    pub(crate) fn new(platform: Platform, source: impl TokenSource + 'static) -> Self {
        Self {
            platform,
            source: Arc::new(source),
            retry: true,
        }
    }

    /// Does the same as [`send`].
    pub(super) async fn send<R, E, F, Fut>(
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
        send_while(&*self.source, method, url, send, self.retry).await
    }
}

impl std::fmt::Debug for AuthorizedClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthorizedClient")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}
