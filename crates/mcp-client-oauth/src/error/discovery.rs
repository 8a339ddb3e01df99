//! Step 1 that failed.

use std::fmt;

use url::Url;

use super::{Remedy, ResourceMetadataError, ServerMetadataError, UnsafeUrl};
use crate::{
    proto::{foreign::Foreign, server_metadata::Issuer},
    server_url::ServerUrl,
};

/// One place that was asked for metadata, and what came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Tried {
    /// Where.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// Whether a web page came where JSON was wanted.
    pub html: bool,
    /// Where a redirect to another origin led. It was not followed.
    pub redirect: Option<Foreign>,
    /// Why the document there is not the metadata that was looked for, if there is one.
    pub unusable: Option<ServerMetadataError>,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = if self.html { ", a web page" } else { "" };
        write!(f, "{} (HTTP {}{page}", self.url, self.status)?;
        if let Some(target) = &self.redirect {
            write!(f, ", redirects to another origin, not followed: `{target}`")?;
        }
        if let Some(cause) = &self.unusable {
            write!(f, ", {cause}")?;
        }
        f.write_str(")")
    }
}

fn list(tried: &[Tried]) -> String {
    tried
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Why it is not known who issues tokens for a server.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The server answers without a token and publishes no metadata.
    #[error("{server} asks for no authorization (it answered HTTP {status} without a token; tried {})", list(.tried))]
    NotProtected {
        /// Which server.
        server: ServerUrl,
        /// What it answered.
        status: u16,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// The server wants a token, and does not say from whom (H16).
    #[error("{server} answered HTTP {status} and says nowhere who issues its tokens; tried {}", list(.tried))]
    NoResourceMetadata {
        /// Which server.
        server: ServerUrl,
        /// What it answered.
        status: u16,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// The server has no resource metadata, but its own origin has metadata of an authorization server,
    /// as the MCP revision 2025-03-26 has it. It is used only where
    /// [`DiscoveryOptions::legacy`](crate::DiscoveryOptions::legacy) allows it.
    #[error(
        "{server} responded with HTTP {status} and no protected resource metadata was found, but {url} \
         has metadata of the authorization server {issuer}, as the MCP revision 2025-03-26 has it; \
         tried {}",
        list(.tried)
    )]
    LegacyMetadata {
        /// Which server.
        server: ServerUrl,
        /// The HTTP status of its response.
        status: u16,
        /// Where the metadata of the authorization server is: at the origin of `server`.
        url: Box<Url>,
        /// Which authorization server it describes, as it says itself: if that is not the origin of
        /// `server`, the metadata can be used only where its name is accepted
        /// ([`Quirks::issuers`](crate::Quirks::issuers)) too.
        issuer: Issuer,
        /// Where resource metadata was looked for.
        tried: Vec<Tried>,
    },
    /// Metadata of the server that cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ResourceMetadata {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        #[source]
        cause: ResourceMetadataError,
    },
    /// The server's metadata names nobody.
    #[error("the document at {0} names no authorization server")]
    NoAuthorizationServer(Url),
    /// The authorization server publishes no metadata.
    #[error("the authorization server {issuer} publishes no metadata; tried {}", list(.tried))]
    NoServerMetadata {
        /// Which.
        issuer: Issuer,
        /// Where metadata was looked for.
        tried: Vec<Tried>,
    },
    /// Metadata of the authorization server that cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ServerMetadata {
        /// Where it is.
        url: Url,
        /// What is wrong with it.
        #[source]
        cause: ServerMetadataError,
    },
    /// A URL that the server names, and that must not be visited.
    #[error("the server names `{url}`, which cannot be used: {cause}")]
    Unsafe {
        /// As the server wrote it.
        url: Foreign,
        /// Why not.
        #[source]
        cause: UnsafeUrl,
    },
    /// A redirect that has no usable target, one of too many, or one to another origin where no other
    /// location may have the document.
    #[error(
        "{url} redirects to `{location}`, which is not followed: metadata moves at most {most} times, within its own origin"
    )]
    Redirect {
        /// Where from.
        url: Url,
        /// Where to, as the server wrote it.
        location: Foreign,
        /// How many are followed.
        most: usize,
    },
    /// spec-checklist E2: without PKCE a stolen code is a stolen login.
    #[error(
        "the authorization server {0} supports other methods of PKCE than S256, and not that one"
    )]
    PkceUnsupported(Issuer),
    /// The same of a server that says nothing of PKCE, and may check it all the same.
    #[error("the authorization server {0} does not say that it supports PKCE with S256")]
    PkceUnlisted(Issuer),
    /// Too many requests for one discovery (H10, H130).
    #[error("{0} sends us from place to place; gave up")]
    Endless(ServerUrl),
}

impl DiscoveryError {
    pub(super) fn remedy(&self) -> Remedy {
        let busy = |tried: &[Tried]| tried.iter().any(|place| place.status >= 500);
        match self {
            Self::NotProtected { .. } | Self::LegacyMetadata { .. } => Remedy::Reconfigure,
            Self::NoResourceMetadata { tried, .. } | Self::NoServerMetadata { tried, .. }
                if busy(tried) =>
            {
                Remedy::Retry
            }
            Self::NoResourceMetadata { .. }
            | Self::NoServerMetadata { .. }
            | Self::ResourceMetadata { .. }
            | Self::NoAuthorizationServer(_)
            | Self::ServerMetadata { .. }
            | Self::Unsafe { .. }
            | Self::Redirect { .. }
            | Self::PkceUnsupported(_)
            | Self::PkceUnlisted(_)
            | Self::Endless(_) => Remedy::ReportToServer,
        }
    }
}
