//! Servers of the MCP revision 2025-03-26: no resource metadata, and an authorization server at the MCP
//! server's own origin.

use std::time::Duration;

use mcp_oauth_support::UntrustedText;
use url::Url;

use super::{ProbeResponse, Search, fetch};
use crate::{
    error::{Attempt, DiscoveryError, Error},
    proto::{
        endpoint::EndpointUrl,
        server_metadata::{Issuer, ServerMetadata, ServerMetadataError},
    },
};

impl Search<'_> {
    /// Reports metadata of the revision 2025-03-26, if the server has it, and does not use it: the server
    /// does not confirm that the authorization server at this origin issues its tokens.
    ///
    /// It is looked for only if the server requires a token (authorization of 2025-03-26 begins with HTTP
    /// 401), and not where resource metadata may be missing because of a server error.
    pub(super) async fn report_legacy_metadata(
        &mut self,
        probed: &ProbeResponse,
        tried: Vec<Attempt>,
    ) -> DiscoveryError {
        let (server, status) = (self.server.clone(), probed.status);
        let requires_token = status == 401 || probed.challenge.is_some();
        let is_certain = tried.iter().all(|attempt| attempt.status < 500);
        let found = if requires_token && is_certain {
            self.unused_legacy_metadata().await
        } else {
            None
        };
        match found {
            Some((url, issuer)) => DiscoveryError::LegacyMetadata {
                server,
                status,
                url: Box::new(url),
                issuer,
                tried,
            },
            None => DiscoveryError::NoResourceMetadata {
                server,
                status,
                tried: [tried, std::mem::take(&mut self.tried)].concat(),
            },
        }
    }

    /// Looks for metadata of the revision 2025-03-26. A failure here is reported as missing resource
    /// metadata; what was received instead is recorded.
    async fn unused_legacy_metadata(&mut self) -> Option<(Url, Issuer)> {
        match self.legacy_metadata().await {
            Ok(found) => found.map(|(url, metadata, _)| (url, metadata.issuer)),
            Err(Error::Discovery(DiscoveryError::ServerMetadata {
                url,
                cause: ServerMetadataError::IssuerMismatch { found, .. },
            })) => Some((url, found)),
            Err(Error::Discovery(DiscoveryError::ServerMetadata { url, cause })) => {
                self.tried.push(Attempt {
                    url,
                    status: 200,
                    html: false,
                    redirect: None,
                    unusable: Some(cause),
                });
                None
            }
            Err(_) => None,
        }
    }

    /// Fetches the metadata of 2025-03-26, at the root of the server's own origin.
    pub(super) async fn legacy_metadata(
        &mut self,
    ) -> Result<Option<(Url, ServerMetadata, Duration)>, Error> {
        let location = self.legacy_url("/.well-known/oauth-authorization-server")?;
        let fetched = self.fetch_from_server(location.as_url().clone()).await?;
        let redirect = fetched.redirect.clone();
        let Some(document) = self.note(fetched) else {
            // The server has metadata, at another origin: its endpoints must not be guessed.
            return match redirect {
                Some(target) => Err(fetch::refused(location.as_url(), target.as_raw()).into()),
                None => Ok(None),
            };
        };
        let issuer = self.legacy_issuer();
        let other = self.quirks.names_in_metadata(&issuer);
        // The client built the issuer from the server's URL. Where plain http is allowed, as for a
        // server in development, the one slash that a URL type adds is no difference either
        // (RFC 3986 §6.2.3).
        let slashed = Issuer::from(format!("{}/", issuer.as_str()));
        let parsed = match ServerMetadata::parse_with_aliases(
            &document.body,
            &issuer,
            &other,
            self.address_space,
        ) {
            Err(ServerMetadataError::IssuerMismatch { found, .. }) if found == slashed => {
                ServerMetadata::parse(&document.body, &slashed, self.address_space)
            }
            parsed => parsed,
        };
        let metadata = parsed.map_err(|cause| DiscoveryError::ServerMetadata {
            url: document.url.clone(),
            cause,
        })?;
        Ok(Some((document.url, metadata, document.lifetime)))
    }

    /// Returns the fixed endpoints of 2025-03-26, for a server without any metadata.
    pub(super) fn legacy_endpoints(&self) -> Result<ServerMetadata, DiscoveryError> {
        Ok(ServerMetadata {
            registration_endpoint: Some(self.legacy_url("/register")?),
            ..ServerMetadata::manual(
                self.legacy_issuer(),
                self.legacy_url("/authorize")?,
                self.legacy_url("/token")?,
            )
        })
    }

    fn legacy_issuer(&self) -> Issuer {
        Issuer::from(self.server.as_url().origin().ascii_serialization())
    }

    fn legacy_url(&self, path: &str) -> Result<EndpointUrl, DiscoveryError> {
        let text = format!("{}{path}", self.legacy_issuer().as_str());
        EndpointUrl::parse(&text, self.address_space).map_err(|cause| DiscoveryError::Unsafe {
            url: UntrustedText::new(&text),
            cause,
        })
    }
}
