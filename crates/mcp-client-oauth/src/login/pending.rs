//! A login in two requests: one begins it, and another one, maybe on another host, finishes it. The steps are
//! those of [`log_in`](super::log_in); between them the login is in the store.

use std::fmt;

use mcp_oauth_support::Secret;
use url::Url;

use super::{LoginContext, LoginOptions};
use crate::{
    discovery::Discovery,
    error::{AuthorizationError, Error, RegistrationError},
    grant::{self, GrantRequest},
    platform::Platform,
    proto::authorization::PendingAuthorization,
    server_url::ServerUrl,
    store::{Record, TokenStore},
    stored_session::StoredSession,
};

mod limits;
mod record;
mod return_path;

use record::{Begun, PendingLogin};
pub(crate) use return_path::ReturnPath;

/// A login that was begun, and that [`Client::finish`](crate::Client::finish) ends.
#[non_exhaustive]
pub struct BegunLogin {
    /// The URL to send the browser to.
    pub url: Url,
    /// The secret that binds the login to this browser: for a cookie with `HttpOnly`, `Secure` and
    /// `SameSite=Lax`, and for nothing else. It has letters, digits, `-`, `_` and `.`, and contains the name
    /// of the account, which the user of the browser can read.
    pub browser_secret: Secret<String>,
}

/// Begins a login, and stores what its end needs. It involves no user: the caller sends the browser to the
/// URL.
///
/// # Errors
/// Those of each step; [`AuthorizationError::RedirectUriRequired`], [`AuthorizationError::TooManyPending`].
pub(crate) async fn begin(
    platform: &Platform,
    store: &TokenStore,
    server: &ServerUrl,
    options: &LoginOptions,
) -> Result<BegunLogin, Error> {
    let redirect_uri = options.redirect.of_application()?;
    let login = LoginContext::load(platform, store, server, options).await?;
    login.check_limit().await?;

    let discovery = login.discover_or_reuse().await?;
    let outcome = login.request_authorization(discovery, redirect_uri).await;
    let (url, authorization, begun) = match outcome {
        Ok(requested) => requested,
        Err(error) => {
            login.invalidate_discovery(&error).await;
            return Err(error);
        }
    };
    let browser_secret = login.store_pending(authorization, begun).await?;
    Ok(BegunLogin {
        url,
        browser_secret,
    })
}

/// Finishes the login that `callback` belongs to, and returns its session and the path to return to.
///
/// It goes on in a task of its own if the future is dropped: the browser may have closed the connection of the
/// application, and the code of the callback can be exchanged only once.
///
/// # Errors
/// [`AuthorizationError::NotPending`], [`AuthorizationError::OtherBrowser`],
/// [`AuthorizationError::TimedOut`], which change nothing; those of the steps after the callback.
pub(crate) async fn finish(
    platform: &Platform,
    store: &TokenStore,
    callback: &Url,
    browser_secret: &Secret<String>,
) -> Result<(StoredSession, Option<ReturnPath>), Error> {
    let (platform, own_store) = (platform.clone(), store.clone());
    let (callback, browser_secret) = (callback.clone(), browser_secret.clone());
    let task = store.tasks().spawn(async move {
        let pending = PendingLogin::take(&platform, &own_store, &callback, &browser_secret).await?;
        // On the heap: the future is large.
        Box::pin(pending.complete(&platform, &own_store, &callback)).await
    });
    task.await
        .unwrap_or_else(|aborted| Err(AuthorizationError::Aborted(aborted.to_string()).into()))
}

impl LoginContext<'_> {
    /// Finds the client, and returns the URL to send the browser to.
    async fn request_authorization(
        &self,
        discovery: Discovery,
        redirect_uri: &Url,
    ) -> Result<(Url, PendingAuthorization, Begun), Error> {
        let options = self.options;
        let proof_generator = options.proof_generator(self.platform, &discovery)?;
        let flow = options.grant.select(&discovery.metadata)?.flow;
        if !flow.needs_redirect() {
            return Err(AuthorizationError::RedirectUriRequired.into());
        }
        discovery.require_pkce()?;
        let known = self.known_client(&discovery).await?;
        let known = known.as_ref();
        let identity = self
            .register(&discovery, &flow, known, Some(redirect_uri))
            .await?;

        let request = GrantRequest::new(&discovery, &identity, options.scope.as_ref())?
            .with_proof_generator(proof_generator.clone());
        let requested = request.scope().cloned();
        let (url, authorization) = grant::authorization_url(&request, redirect_uri)?;
        let is_known_client = known.is_some() && identity.registration() == known;
        let begun = Begun {
            discovery,
            identity,
            is_known_client,
            requested,
            proof_generator,
        };
        Ok((url, authorization, begun))
    }
}

impl PendingLogin {
    /// Checks the callback, exchanges its code, and stores the login.
    async fn complete(
        self,
        platform: &Platform,
        store: &TokenStore,
        callback: &Url,
    ) -> Result<(StoredSession, Option<ReturnPath>), Error> {
        let options = LoginOptions::default();
        let login = LoginContext::resume(platform, store, &self.key, &options);
        let proof_generator = self.proof_generator(platform);
        let known = self.known_client().cloned();
        let code = self.authorization.accept(callback);
        let code = code.map_err(grant::refusal)?;

        let (discovery, identity) = (self.discovery, self.identity);
        let client = identity.authenticate(&discovery.metadata);
        let client =
            client.ok_or_else(|| RegistrationError::NoClient(discovery.issuer().clone()))?;
        let generator = proof_generator.as_ref();
        let tokens = grant::exchange(platform, &discovery, &client, &code, generator);
        let tokens = login.note_client(&identity, known.as_ref(), tokens).await;
        let tokens = match tokens {
            Ok(tokens) => tokens,
            Err(error) => {
                login.invalidate_discovery(&error).await;
                return Err(error);
            }
        };
        let mut record = Record::new(discovery, identity, self.requested, tokens);
        record.dpop = self.dpop;
        Ok((login.save(record).await?, self.return_to))
    }
}

/// Without the URL, which contains the `state`.
impl fmt::Debug for BegunLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BegunLogin").finish_non_exhaustive()
    }
}
