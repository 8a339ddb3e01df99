//! Step 7: requests that carry a token; a refused token is replaced once, a wider scope is asked
//! for a bounded number of times.

use std::{future::Future, sync::Arc};

use http::HeaderValue;
use url::Url;

use crate::{
    error::{AuthorizationError, Error},
    platform::Platform,
    proto::{challenge::Challenge, token::AccessToken},
    session::TokenSource,
};

mod request;

pub use request::AuthorizedRequest;

/// How often a request is sent again because the server wants a wider scope (spec-checklist G6).
const UPGRADES: usize = 3;

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
    platform: Platform,
    source: Arc<dyn TokenSource>,
    retry: bool,
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

    /// Whether a refused request is sent again with another token. It is, unless switched off.
    #[must_use]
    pub fn retry_on_401(mut self, retry: bool) -> Self {
        self.retry = retry;
        self
    }

    /// Calls `send` with the `Authorization` header for `url`, by any HTTP client; if the answer is
    /// a challenge, again with another token.
    ///
    /// `send` must make the same request each time. The last answer is returned, whatever its
    /// status.
    ///
    /// # Errors
    /// [`AuthorizationError::OutsideResource`] if `url` is not part of what the token is for: a
    /// token goes nowhere else (H90). What the source says when there is no token; what `send` says.
    pub async fn send<B, F, Fut>(&self, url: &Url, send: F) -> Result<http::Response<B>, Error>
    where
        F: Fn(HeaderValue) -> Fut,
        Fut: Future<Output = Result<http::Response<B>, Error>>,
    {
        let challenge =
            |response: &http::Response<B>| Challenge::of(response.status(), response.headers());
        let retry = |response: &http::Response<B>| challenge(response).filter(|_| self.retry);
        with_token(&*self.source, url, send, retry).await
    }
}

/// Calls `send` with the `Authorization` header for `url`. While `challenge` finds a refusal in
/// what it brings, again with another token: once for a token that is refused, and a few times for
/// a scope that is too small (H71, H94). A token goes nowhere but to its resource (H90).
pub(crate) async fn with_token<T, F, Fut>(
    source: &dyn TokenSource,
    url: &Url,
    send: F,
    challenge: impl Fn(&T) -> Option<Challenge>,
) -> Result<T, Error>
where
    F: Fn(HeaderValue) -> Fut,
    Fut: Future<Output = Result<T, Error>>,
{
    let mut token = token_for(source, url).await?;
    let (mut replaced, mut upgrades) = (false, 0);
    loop {
        let outcome = send(token.header()).await?;
        let Some(challenge) = challenge(&outcome) else {
            return Ok(outcome);
        };
        let again = if challenge.is_insufficient_scope() {
            upgrades += 1;
            upgrades <= UPGRADES
        } else {
            !std::mem::replace(&mut replaced, true)
        };
        if !again {
            return Ok(outcome);
        }
        token = source.replace(&token, &challenge).await?;
    }
}

async fn token_for(source: &dyn TokenSource, url: &Url) -> Result<AccessToken, Error> {
    check(source, url)?;
    let token = match source.ready() {
        Some(token) => token,
        None => source.token().await?,
    };
    check(source, url)?;
    Ok(token)
}

/// Before the first login the resource is not known; then the server's own origin is the limit.
fn check(source: &dyn TokenSource, url: &Url) -> Result<(), Error> {
    let (server, resource) = (source.server(), source.resource());
    let covered = match &resource {
        Some(resource) => resource.covers(url),
        None => server.as_url().origin() == url.origin(),
    };
    if covered || server.covers(url) {
        return Ok(());
    }
    let resource = resource.map_or_else(|| server.to_string(), |own| own.as_str().to_owned());
    Err(AuthorizationError::OutsideResource {
        url: url.clone(),
        resource,
    }
    .into())
}

impl std::fmt::Debug for Authorized {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorized")
            .field("server", self.source.server())
            .finish_non_exhaustive()
    }
}
