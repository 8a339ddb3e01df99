//! Protected resource metadata (RFC 9728): its URLs, its members, and the check of its resource.

use mcp_oauth_support::UntrustedText;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{scope::Scope, serde_lenient, server_metadata::Issuer};
use crate::server_url::{ServerUrl, covers};

/// The registered suffix (RFC 9728 §3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
/// The number of authorization servers of one resource that are tried (docs/hostile.md H10).
const ISSUERS: usize = 8;

/// A resource identifier, exactly as it was published (RFC 9728 §3.3): it is compared and sent
/// as text, because a URL type would add a slash.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Resource(String);

impl Resource {
    /// Returns the text to send.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether `url` is at or below this resource, by whole path segments: a token for this
    /// resource is sent to no other URL (RFC 8707 §1).
    pub(crate) fn covers(&self, url: &Url) -> bool {
        Url::parse(&self.0).is_ok_and(|own| covers(&own, url))
    }
}

impl From<&str> for Resource {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Resource {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// The metadata of a protected resource (RFC 9728 §2).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub(crate) struct ResourceMetadata {
    /// Its identifier.
    pub resource: Resource,
    /// The issuers of its tokens; the first eight.
    pub authorization_servers: Vec<Issuer>,
    /// The scopes that it lists, as far as they are within the limits of
    /// [`Scope::within_limits`].
    pub scopes_supported: Option<Scope>,
    /// The number of scopes that it lists beyond these limits.
    pub scopes_left_out: usize,
    /// A name to show to the user.
    pub resource_name: Option<UntrustedText>,
    /// Says whether it accepts only tokens that are bound to a key (RFC 9728 §2, RFC 9449).
    pub dpop_bound_access_tokens_required: bool,
}

/// Says why a document is not the metadata of a server.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResourceMetadataError {
    /// Not JSON, a member of the wrong type, or a member that occurs twice.
    #[error("it is not protected resource metadata ({0})")]
    Unreadable(UntrustedText),
    /// RFC 9728 §3.3: metadata of another resource must not be used.
    #[error("it is the metadata of `{0}`, which is not this server")]
    OtherResource(UntrustedText),
}

#[derive(Deserialize)]
struct Wire {
    resource: String,
    #[serde(default, deserialize_with = "serde_lenient::strings")]
    authorization_servers: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::all_strings")]
    scopes_supported: Option<Vec<String>>,
    #[serde(default, deserialize_with = "serde_lenient::optional")]
    resource_name: Option<String>,
    #[serde(default, deserialize_with = "serde_lenient::flag")]
    dpop_bound_access_tokens_required: bool,
}

/// Returns the well-known URLs for the metadata of `server`, in order (RFC 9728 §3.1; MCP authorization,
/// Protected Resource Metadata Discovery Requirements): with the path, then at the root.
pub(crate) fn well_known_urls(server: &ServerUrl) -> Vec<Url> {
    let mut at_path = server.as_url().clone();
    let path = match at_path.path() {
        "/" => String::new(),
        path => path.trim_end_matches('/').to_owned(),
    };
    at_path.set_path(&format!("{WELL_KNOWN}{path}"));
    let mut at_root = at_path.clone();
    at_root.set_path(WELL_KNOWN);
    at_root.set_query(None);
    if at_path == at_root {
        vec![at_root]
    } else {
        vec![at_path, at_root]
    }
}

impl ResourceMetadata {
    /// Parses the body of a metadata response for `server`, and checks its resource: it must be the URL
    /// of the server, its origin, or a whole-segment prefix of its path (RFC 9728 §3.3).
    pub(crate) fn parse(body: &[u8], server: &ServerUrl) -> Result<Self, ResourceMetadataError> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| {
            ResourceMetadataError::Unreadable(UntrustedText::new(&error.to_string()))
        })?;
        if !is_identifier_of(&wire.resource, server) {
            return Err(ResourceMetadataError::OtherResource(UntrustedText::new(
                &wire.resource,
            )));
        }
        let issuers = wire.authorization_servers.unwrap_or_default();
        let (scopes_supported, scopes_left_out) =
            Scope::within_limits(wire.scopes_supported.unwrap_or_default());
        Ok(Self {
            resource: Resource(wire.resource),
            authorization_servers: issuers
                .into_iter()
                .take(ISSUERS)
                .map(Issuer::from)
                .collect(),
            scopes_supported,
            scopes_left_out,
            resource_name: wire.resource_name.map(UntrustedText::from),
            dpop_bound_access_tokens_required: wire.dpop_bound_access_tokens_required,
        })
    }
}

fn is_identifier_of(resource: &str, server: &ServerUrl) -> bool {
    let Ok(url) = Url::parse(resource) else {
        return false;
    };
    let same_query = url.query().is_none() || url.query() == server.as_url().query();
    let plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    plain && same_query && covers(&url, server.as_url())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_comes_before_the_root() {
        for (server, expected) in [
            (
                "https://h/mcp",
                vec![
                    "https://h/.well-known/oauth-protected-resource/mcp",
                    "https://h/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://h/a/b/?x=1",
                vec![
                    "https://h/.well-known/oauth-protected-resource/a/b?x=1",
                    "https://h/.well-known/oauth-protected-resource",
                ],
            ),
            (
                "https://h",
                vec!["https://h/.well-known/oauth-protected-resource"],
            ),
            (
                "https://h:8443/",
                vec!["https://h:8443/.well-known/oauth-protected-resource"],
            ),
        ] {
            let urls = well_known_urls(&server.parse().unwrap());
            assert_eq!(
                urls.iter().map(Url::as_str).collect::<Vec<_>>(),
                expected,
                "{server}"
            );
        }
    }

    fn resource(resource: &str) -> Result<ResourceMetadata, ResourceMetadataError> {
        let body =
            serde_json::json!({"resource": resource, "authorization_servers": ["https://as"]});
        let server = "https://mcp.example/a/mcp".parse().unwrap();
        ResourceMetadata::parse(body.to_string().as_bytes(), &server)
    }

    #[test]
    fn metadata_of_another_resource_is_refused() {
        for good in [
            "https://mcp.example/a/mcp",
            "https://mcp.example/a",
            "https://mcp.example",
            "https://mcp.example/",
            "https://MCP.example/a/mcp",
        ] {
            assert_eq!(resource(good).unwrap().resource.as_str(), good);
        }
        for bad in [
            "https://evil.example/a/mcp",
            "https://mcp.example/a/m",
            "https://mcp.example/a/mcp/x",
            "https://mcp.example:8443/a/mcp",
            "http://mcp.example/a/mcp",
            "https://mcp.example/a/mcp#x",
            "https://mcp.example/a/mcp?tenant=2",
            "https://user@mcp.example/a/mcp",
            "/a/mcp",
            "",
        ] {
            let error = resource(bad).unwrap_err();
            assert_eq!(
                error,
                ResourceMetadataError::OtherResource(UntrustedText::new(bad)),
                "{bad}"
            );
        }
    }

    #[test]
    fn only_required_members_are_strict() {
        let server: ServerUrl = "https://h/mcp".parse().unwrap();
        let parse = |body: &str| ResourceMetadata::parse(body.as_bytes(), &server);
        let irregular = r#"{"resource":"https://h/mcp","authorization_servers":["https://as",7],"scopes_supported":"x","resource_name":1e3,"x":[[]]}"#;
        let metadata = parse(irregular).unwrap();
        assert_eq!(metadata.authorization_servers, [Issuer::from("https://as")]);
        assert_eq!(
            (metadata.scopes_supported, metadata.resource_name),
            (None, None)
        );
        for bad in [
            "",
            "null",
            "[]",
            "<html>",
            r#"{"resource":null}"#,
            r#"{"resource":"https://h/mcp","resource":"https://h"}"#,
            "\u{feff}{}",
        ] {
            assert!(
                matches!(parse(bad), Err(ResourceMetadataError::Unreadable(_))),
                "{bad}"
            );
        }
        let many: Vec<String> = (0..1000).map(|i| format!("https://as{i}")).collect();
        let body = serde_json::json!({"resource": "https://h/mcp", "authorization_servers": many});
        assert_eq!(
            parse(&body.to_string())
                .unwrap()
                .authorization_servers
                .len(),
            ISSUERS
        );
    }
}
