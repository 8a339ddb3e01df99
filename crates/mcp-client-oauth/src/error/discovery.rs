//! Errors of step 1: the authorization server of an MCP server was not found.

use std::fmt;

use mcp_oauth_support::UntrustedText;
use url::Url;

use super::{ResourceMetadataError, ServerMetadataError, UrlPolicyError, remedy::Remedy};
use crate::{
    proto::server_metadata::Issuer,
    server_url::{ServerUrl, is_loopback},
};

/// One URL that metadata was requested from, and the result.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Attempt {
    /// The URL.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// Says whether the response was a web page instead of JSON.
    pub html: bool,
    /// The target of a redirect to another origin. It was not followed.
    pub redirect: Option<UntrustedText>,
    /// The reason why the document at the URL is not the requested metadata, if there is a document.
    pub unusable: Option<ServerMetadataError>,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let page = page(self.html);
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

fn page(is_html: bool) -> &'static str {
    if is_html { ", a web page" } else { "" }
}

fn list(tried: &[Attempt]) -> String {
    tried
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The reason why the authorization server of an MCP server was not found.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// The server responds without a token and publishes no metadata.
    #[error(
        "{server} requires no authorization (it responded with HTTP {status} without a token; tried {})",
        list(.tried)
    )]
    NotProtected {
        /// The MCP server.
        server: ServerUrl,
        /// The HTTP status of its response.
        status: u16,
        /// The URLs that metadata was requested from.
        tried: Vec<Attempt>,
    },
    /// The server requires a token, and publishes no metadata that names its authorization server
    /// (RFC 9728, which MCP authorization requires).
    #[error(
        "{server} responded with HTTP {status}, and no protected resource metadata was found; tried {}",
        list(.tried)
    )]
    NoResourceMetadata {
        /// The MCP server.
        server: ServerUrl,
        /// The HTTP status of its response.
        status: u16,
        /// The URLs that metadata was requested from.
        tried: Vec<Attempt>,
    },
    /// The server has no resource metadata, but its own origin has metadata of an authorization server,
    /// as the MCP revision 2025-03-26 has it. It is used only where
    /// [`Login::legacy`](crate::Login::legacy) allows it.
    #[error(
        "{server} responded with HTTP {status} and no protected resource metadata was found, but {url} \
         has metadata of the authorization server {issuer}, as the MCP revision 2025-03-26 has it; \
         tried {}",
        list(.tried)
    )]
    LegacyMetadata {
        /// The MCP server.
        server: ServerUrl,
        /// The HTTP status of its response.
        status: u16,
        /// The URL of the metadata of the authorization server, at the origin of `server`.
        url: Box<Url>,
        /// The `issuer` in that metadata: if that is not the origin of `server`, the metadata can be used
        /// only where that name is accepted ([`Quirks::issuers`](crate::flow::Quirks::issuers)) too.
        issuer: Issuer,
        /// The URLs that resource metadata was requested from.
        tried: Vec<Attempt>,
    },
    /// The URL leads to a web page, or to nothing: an MCP server either opens a session or names the
    /// authorization that it requires (MCP authorization, "Authorization Server Discovery").
    #[error("no MCP server responds at {server} (HTTP {status}{}); tried {}", page(*.html), list(.tried))]
    NotMcp {
        /// The URL.
        server: ServerUrl,
        /// The HTTP status of the response to `initialize`.
        status: u16,
        /// Says whether that response was a web page.
        html: bool,
        /// The URLs that metadata was requested from.
        tried: Vec<Attempt>,
    },
    /// The metadata of the MCP server cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ResourceMetadata {
        /// The URL of the metadata.
        url: Url,
        /// The problem with it.
        #[source]
        cause: ResourceMetadataError,
    },
    /// The server's metadata names no authorization server.
    #[error("the document at {0} names no authorization server")]
    NoAuthorizationServer(Url),
    /// The authorization server publishes no metadata.
    #[error("the authorization server {issuer} publishes no metadata; tried {}", list(.tried))]
    NoServerMetadata {
        /// The authorization server.
        issuer: Issuer,
        /// The URLs that metadata was requested from.
        tried: Vec<Attempt>,
    },
    /// The metadata of the authorization server cannot be used.
    #[error("the document at {url} cannot be used: {cause}")]
    ServerMetadata {
        /// The URL of the metadata.
        url: Url,
        /// The problem with it.
        #[source]
        cause: ServerMetadataError,
    },
    /// The server names a URL that must not be requested.
    #[error("the server names `{url}`, which cannot be used: {cause}")]
    Unsafe {
        /// The URL, as the server wrote it.
        url: UntrustedText,
        /// The reason why it must not be requested.
        #[source]
        cause: UrlPolicyError,
    },
    /// A redirect has no usable target, is one of too many, or leads to another origin where no other
    /// URL may have the document.
    #[error(
        "{url} redirects to `{location}`, which is not followed: metadata moves at most {most} times, \
         within its own origin"
    )]
    Redirect {
        /// The URL that redirects.
        url: Url,
        /// The target, as the server wrote it.
        location: UntrustedText,
        /// The number of redirects that are followed.
        most: usize,
    },
    /// Without PKCE a stolen code is a stolen login, so MCP requires the client to refuse (MCP
    /// authorization, "Authorization Code Protection").
    #[error(
        "the authorization server {0} supports other methods of PKCE than S256, and not that one"
    )]
    PkceUnsupported(Issuer),
    /// The metadata does not mention PKCE. The server may support it all the same.
    #[error("the authorization server {0} does not say that it supports PKCE with S256")]
    PkceUnlisted(Issuer),
    /// One discovery needs more requests than the limit allows.
    #[error("{0}: too many discovery requests")]
    DiscoveryLoop(ServerUrl),
}

impl DiscoveryError {
    /// Returns the URL that the resource metadata names for `server`, if it is another URL of the same
    /// server: of the same origin, or both on loopback with the same scheme and port (`localhost` for
    /// `127.0.0.1`). A login by that URL is safe to propose: it leads to no other machine.
    pub fn other_spelling(&self, server: &ServerUrl) -> Option<ServerUrl> {
        match self {
            Self::ResourceMetadata {
                cause: ResourceMetadataError::OtherResource(named),
                ..
            } => spelling(named, server.as_url()),
            _ => None,
        }
    }

    pub(super) fn remedy(&self) -> Remedy {
        let busy = |tried: &[Attempt]| tried.iter().any(|attempt| attempt.status >= 500);
        match self {
            Self::NotMcp { tried, .. } if busy(tried) => Remedy::Retry,
            Self::NotProtected { .. } | Self::NotMcp { .. } | Self::LegacyMetadata { .. } => {
                Remedy::Reconfigure
            }
            // The document is at the server's own origin, so that URL is another spelling.
            Self::ResourceMetadata {
                url,
                cause: ResourceMetadataError::OtherResource(named),
            } if spelling(named, url).is_some() => Remedy::Reconfigure,
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
            | Self::DiscoveryLoop(_) => Remedy::ContactServerOperator,
        }
    }
}

/// Parses the text of a server as a URL of the server at `near`. A text that was cut is refused.
fn spelling(named: &UntrustedText, near: &Url) -> Option<ServerUrl> {
    let named = Some(named.as_raw()).filter(|text| !text.ends_with('…'))?;
    let named = ServerUrl::parse_allow_http(named).ok()?;
    let url = named.as_url();
    let on_loopback = named.is_loopback()
        && is_loopback(near)
        && url.scheme() == near.scheme()
        && url.port_or_known_default() == near.port_or_known_default();
    (url.origin() == near.origin() || on_loopback).then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_url_of_the_same_server_is_a_spelling() {
        let found = |server: &str, named: &str| {
            let error = DiscoveryError::ResourceMetadata {
                url: Url::parse(server).unwrap(),
                cause: ResourceMetadataError::OtherResource(UntrustedText::new(named)),
            };
            let found = error.other_spelling(&ServerUrl::parse_allow_http(server).unwrap());
            let expected = match found {
                Some(_) => Remedy::Reconfigure,
                None => Remedy::ContactServerOperator,
            };
            assert_eq!(error.remedy(), expected, "{server} {named}");
            found.map(|url| url.to_string())
        };
        for (server, named) in [
            ("https://mcp.example/", "https://mcp.example/mcp"),
            ("http://127.0.0.1:8000/mcp", "http://localhost:8000/mcp"),
            ("http://localhost:8000/mcp", "http://127.0.0.1:8000/mcp"),
            ("http://[::1]:8000/mcp", "http://localhost:8000/mcp"),
            ("http://mcp-server:8000/", "http://mcp-server:8000/mcp"),
        ] {
            assert_eq!(found(server, named).as_deref(), Some(named));
        }
        let long = format!("https://mcp.example/{}", "x".repeat(300));
        for (server, named) in [
            ("https://mcp.example/", "https://evil.example/mcp"),
            ("https://mcp.example/", "http://mcp.example/mcp"),
            ("https://mcp.example/", "https://mcp.example:8443/mcp"),
            ("https://mcp.example/", "https://me@mcp.example/mcp"),
            ("https://mcp.example/", "http://127.0.0.1/mcp"),
            ("http://127.0.0.1:8000/", "http://localhost:9000/mcp"),
            ("http://127.0.0.1:8000/", "https://localhost:8000/mcp"),
            ("https://mcp.example/", "/mcp"),
            ("https://mcp.example/", &long),
        ] {
            assert_eq!(found(server, named), None, "{server} {named}");
        }
    }
}
