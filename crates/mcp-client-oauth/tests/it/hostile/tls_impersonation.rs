//! The testbed under public names: a network in which `https://mcp.example` and `https://as.example`
//! are the two servers of the testbed; every other request is checked and sent as usual.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use mcp_client_oauth::platform::{
    AddressSpace, HttpClient, HttpError, Request, ReqwestClient, Response,
};

use crate::support::Fixture;

pub(super) const PUBLIC_MCP: &str = "https://mcp.example";
pub(super) const PUBLIC_AS: &str = "https://as.example";

pub(super) struct TlsImpersonation {
    network: ReqwestClient,
    /// Pairs of a public origin and the real origin.
    names: [(&'static str, String); 2],
}

impl TlsImpersonation {
    pub(super) fn of(fixture: &Fixture) -> Self {
        let mcp = fixture.server.as_url().origin().ascii_serialization();
        Self {
            network: ReqwestClient::default(),
            names: [(PUBLIC_MCP, mcp), (PUBLIC_AS, fixture.testbed.issuer())],
        }
    }

    /// Replaces the real origins by the public ones.
    fn with_public_names(&self, text: &[u8]) -> Option<String> {
        let mut text = str::from_utf8(text).ok()?.to_owned();
        for (public, own) in &self.names {
            text = text.replace(own, public);
        }
        Some(text)
    }
}

#[async_trait]
impl HttpClient for TlsImpersonation {
    async fn send(&self, mut request: Request) -> Result<Response, HttpError> {
        let origin = request.url.origin().ascii_serialization();
        let Some((_, own)) = self.names.iter().find(|(public, _)| *public == origin) else {
            return self.network.send(request).await;
        };
        let rest = &request.url[url::Position::BeforePath..];
        request.url = format!("{own}{rest}").parse().unwrap();
        request.address_space = AddressSpace::Loopback;
        let mut response = self.network.send(request).await?;
        let headers = response.headers.iter().map(|(name, value)| {
            let value = self.with_public_names(value.as_bytes());
            let value = value.and_then(|text| HeaderValue::try_from(text).ok());
            (
                name.clone(),
                value.unwrap_or_else(|| HeaderValue::from_static("")),
            )
        });
        response.headers = headers.collect::<HeaderMap>();
        if let Some(body) = self.with_public_names(&response.body) {
            response.body = Bytes::from(body);
        }
        response.remote = None;
        Ok(response)
    }
}
