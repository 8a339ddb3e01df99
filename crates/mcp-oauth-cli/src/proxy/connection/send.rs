//! A request on its way to the server, with the token if there is one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mcp_client_oauth::{
    Error, Remedy,
    error::AuthorizationError,
    platform::{AddressSpace, Body, Request},
    proto::challenge::Challenge,
};
use url::Url;

use super::{
    super::error::Trouble,
    redact_body::redacted,
    state::{ActiveSession, ServerConnection},
};

/// Holds what goes out.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Says how long the head of the answer may take.
    pub(crate) patience: Duration,
}

impl ServerConnection {
    /// Sends, with the token if there is one. An answer that wants a login begins it.
    pub(crate) async fn send(&self, outgoing: &Outgoing) -> Result<http::Response<Body>, Trouble> {
        if let Some(pass) = self.0.pass.load_full() {
            return self.send_with(&pass, outgoing).await;
        }
        let response = self.send_without(outgoing).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        if self.has_own_authorization() {
            let text = format!(
                "{} refuses the Authorization header of --header",
                self.url()
            );
            return Err(Trouble::Said(text));
        }
        let challenge = Challenge::from_headers(response.status(), response.headers());
        drop(response);
        // Somebody may have logged in elsewhere.
        if let Some(session) = self.stored().await.map_err(Trouble::Failed)? {
            self.go_on_with(session);
            if let Some(pass) = self.0.pass.load_full() {
                return self.send_with(&pass, outgoing).await;
            }
        }
        self.log_in(challenge, None);
        Err(Trouble::Login)
    }

    async fn send_with(
        &self,
        pass: &ActiveSession,
        outgoing: &Outgoing,
    ) -> Result<http::Response<Body>, Trouble> {
        let authorized = if outgoing.url == *self.url() {
            &pass.authorized
        } else {
            &pass.at_origin
        };
        let request = authorized
            .request(outgoing.method.clone(), outgoing.url.clone())
            .timeout(outgoing.patience)
            .body(outgoing.body.clone());
        let headers = self.headers(outgoing);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name.clone(), value.clone())
        });
        match Box::pin(request.send_streaming()).await {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                let text = format!("{} refuses the token, and a fresh one too", self.url());
                Err(Trouble::Said(text))
            }
            Ok(response) => Ok(redacted(response, &self.0.shown)),
            Err(Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. })) => {
                self.log_in(None, Some(scope));
                Err(Trouble::Login)
            }
            Err(error) if error.remedy() == Remedy::LogIn => {
                self.log_in(None, None);
                Err(Trouble::Login)
            }
            Err(error) => Err(Trouble::Failed(error)),
        }
    }

    async fn send_without(&self, outgoing: &Outgoing) -> Result<http::Response<Body>, Trouble> {
        let (method, url) = (outgoing.method.clone(), outgoing.url.clone());
        // The person named the server, so it may be anywhere.
        let mut request = Request::new(method, url, AddressSpace::Loopback);
        request.headers = self.headers(outgoing);
        request.body = outgoing.body.clone();
        request.deadline = outgoing.patience;
        Ok(self.platform().http.send_streaming(request).await?)
    }

    /// Returns the person's own headers, and those of the protocol, which go before them.
    fn headers(&self, outgoing: &Outgoing) -> HeaderMap {
        let mut headers = self.0.terms.headers.clone();
        for name in outgoing.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &outgoing.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }
}
