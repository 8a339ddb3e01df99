//! Sends a request to the server, with the token if there is one.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use mcp_client_oauth::{
    Error, Remedy,
    adapters::{self, Credentials},
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
        let tokens = if outgoing.url == *self.url() {
            &active.tokens
        } else {
            &active.at_origin
        };
        let open = |credentials: Credentials| {
            let mut request = self.request(outgoing);
            credentials.apply(&mut request.headers);
            self.platform().http.send_streaming(request)
        };
        let sending = adapters::send(tokens, &outgoing.method, &outgoing.url, open);
        match Box::pin(sending).await.and_then(|sent| Ok(sent?)) {
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
        let request = self.request(outgoing);
        Ok(self.platform().http.send_streaming(request).await?)
    }

    fn request(&self, outgoing: &Outgoing) -> Request {
        let (method, url) = (outgoing.method.clone(), outgoing.url.clone());
        // The user typed the URL of the server, so it may have any address. One with plain http must be in a
        // private network.
        let address_space = if self.0.config.key.server().is_plaintext() {
            AddressSpace::PrivateOverHttp
        } else {
            AddressSpace::Loopback
        };
        let mut request = Request::new(method, url, address_space);
        request.headers = self.headers(outgoing);
        request.body = outgoing.body.clone();
        request.deadline = outgoing.timeout;
        request
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
