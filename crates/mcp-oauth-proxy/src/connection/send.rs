//! Sends a request to the server, with the token if there is one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mcp_client_oauth::{
    Error, Remedy,
    error::AuthorizationError,
    flow::Challenge,
    platform::{AddressSpace, Body, Request},
};
use url::Url;

use super::{
    super::error::ProxyError,
    redact_body::redacted,
    state::{ActiveSession, ServerConnection},
};

/// A request to the server.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The timeout for the head of the response.
    pub(crate) timeout: Duration,
}

impl ServerConnection {
    /// Sends the request, with the token if there is one. A response that requires a login starts one.
    pub(crate) async fn send(
        &self,
        outgoing: &Outgoing,
    ) -> Result<http::Response<Body>, ProxyError> {
        if let Some(active) = self.0.active.load_full() {
            return self.send_with(&active, outgoing).await;
        }
        let response = self.send_without(outgoing).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        if self.has_own_authorization() {
            return Err(ProxyError::HeaderRejected(self.url().clone()));
        }
        let challenge = Challenge::from_headers(response.status(), response.headers());
        drop(response);
        // Another process may have logged in.
        if let Some(session) = self.stored_session().await.map_err(ProxyError::Request)? {
            self.use_session(session);
            if let Some(active) = self.0.active.load_full() {
                return self.send_with(&active, outgoing).await;
            }
        }
        self.start_login(challenge, None);
        Err(ProxyError::LoginRequired)
    }

    async fn send_with(
        &self,
        active: &ActiveSession,
        outgoing: &Outgoing,
    ) -> Result<http::Response<Body>, ProxyError> {
        let authorized = if outgoing.url == *self.url() {
            &active.authorized
        } else {
            &active.at_origin
        };
        let request = authorized
            .request(outgoing.method.clone(), outgoing.url.clone())
            .timeout(outgoing.timeout)
            .body(outgoing.body.clone());
        let headers = self.headers(outgoing);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name.clone(), value.clone())
        });
        match Box::pin(request.send_streaming()).await {
            Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                Err(ProxyError::TokenRejected(self.url().clone()))
            }
            Ok(response) => Ok(redacted(response, &self.0.sent_tokens)),
            Err(Error::Authorization(AuthorizationError::ScopeNotGranted { scope, .. })) => {
                self.start_login(None, Some(&scope));
                Err(ProxyError::LoginRequired)
            }
            Err(error) if error.remedy() == Remedy::LogIn => {
                self.start_login(None, None);
                Err(ProxyError::LoginRequired)
            }
            Err(error) => Err(ProxyError::Request(error)),
        }
    }

    async fn send_without(&self, outgoing: &Outgoing) -> Result<http::Response<Body>, ProxyError> {
        let (method, url) = (outgoing.method.clone(), outgoing.url.clone());
        // The user typed the URL of the server, so it may have any address.
        let mut request = Request::new(method, url, AddressSpace::Loopback);
        request.headers = self.headers(outgoing);
        request.body = outgoing.body.clone();
        request.deadline = outgoing.timeout;
        Ok(self.platform().http.send_streaming(request).await?)
    }

    /// Returns the headers of the host and those of the protocol, which take precedence.
    fn headers(&self, outgoing: &Outgoing) -> HeaderMap {
        let mut headers = self.0.config.headers.clone();
        for name in outgoing.headers.keys() {
            headers.remove(name);
        }
        for (name, value) in &outgoing.headers {
            headers.append(name.clone(), value.clone());
        }
        headers
    }
}
