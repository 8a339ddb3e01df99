//! A client that sends requests to public addresses only: for server URLs that users type (MCP security
//! best practices, Server-Side Request Forgery).

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Platform,
    address_policy::AddressSpace,
    body::Body,
    http_client::{HttpClient, Request, Response},
    http_error::HttpError,
};
use crate::server_url::ServerUrl;

impl Platform {
    /// Limits every request to public addresses, also to a URL that the user named.
    #[must_use]
    pub(crate) fn public_networks_only(mut self) -> Self {
        self.http = Arc::new(PublicNetworks(self.http));
        self.is_public_only = true;
        self
    }

    /// Returns the limit of requests to `server` itself.
    pub(crate) fn address_space_for(&self, server: &ServerUrl) -> AddressSpace {
        if self.is_public_only {
            AddressSpace::PublicOnly
        } else {
            AddressSpace::for_server(server)
        }
    }

    /// Checks the URL of a server before anything is read, sent or opened for it. The addresses of a name
    /// are checked by each connection.
    ///
    /// # Errors
    /// [`HttpErrorKind::Forbidden`](super::HttpErrorKind::Forbidden).
    pub(crate) fn check_server(&self, server: &ServerUrl) -> Result<(), HttpError> {
        if !self.is_public_only {
            return Ok(());
        }
        let url = server.as_url();
        let checked = AddressSpace::PublicOnly.check_url(url);
        checked.map_err(|cause| HttpError::new(url, cause.into()))
    }
}

/// Limits each request to public addresses. The wrapped client applies the limit to the address that it
/// connects to, as the contract of [`HttpClient`] says.
struct PublicNetworks(Arc<dyn HttpClient>);

/// Returns `request` with the limit. Its URL is checked here too, for a client that does not.
fn limited(mut request: Request) -> Result<Request, HttpError> {
    request.address_space = AddressSpace::PublicOnly;
    match request.address_space.check_url(&request.url) {
        Ok(()) => Ok(request),
        Err(cause) => Err(HttpError::new(&request.url, cause.into())),
    }
}

#[async_trait]
impl HttpClient for PublicNetworks {
    async fn send(&self, request: Request) -> Result<Response, HttpError> {
        self.0.send(limited(request)?).await
    }

    async fn send_streaming(&self, request: Request) -> Result<http::Response<Body>, HttpError> {
        self.0.send_streaming(limited(request)?).await
    }

    async fn upload(
        &self,
        request: Request,
        body: Body,
    ) -> Result<http::Response<Body>, HttpError> {
        self.0.upload(limited(request)?, body).await
    }
}
