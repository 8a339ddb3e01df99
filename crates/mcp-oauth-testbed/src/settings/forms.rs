//! The forms in which the servers publish and answer.

/// Says where the authorization server publishes its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetadataForm {
    /// `/.well-known/oauth-authorization-server[/tenant]` (RFC 8414 §3.1).
    OAuth,
    /// `/.well-known/openid-configuration[/tenant]` (RFC 8414 §5).
    OpenIdInserted,
    /// `[/tenant]/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 §4).
    OpenIdAppended,
}

/// Says where the MCP server publishes its protected resource metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrmForm {
    /// At the path form, and the challenge names it.
    Header,
    /// At `/.well-known/oauth-protected-resource/mcp`; the challenge does not name it.
    PathOnly,
    /// At `/.well-known/oauth-protected-resource`; the challenge does not name it.
    RootOnly,
    /// At this path alone, and the challenge names it.
    Custom(String),
    /// Nowhere.
    None,
}

/// A server of the revision 2025-03-26: no protected resource metadata, and an authorization
/// server on the origin of the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Legacy {
    /// With RFC 8414 metadata at the root.
    Metadata,
    /// Without metadata: `/authorize`, `/token` and `/register` must be guessed.
    Endpoints,
}

/// Says which revisions of the protocol the MCP server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Wire {
    /// All of them.
    #[default]
    Both,
    /// 2025-03-26, 2025-06-18 and 2025-11-25: `initialize` and sessions.
    Stateful,
    /// 2026-07-28: each request stands for itself.
    Stateless,
    /// 2024-11-05, HTTP with SSE: `GET` of the server URL opens the one stream, and names where
    /// messages go.
    EventStream,
}

/// Says how the MCP server answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answers {
    /// One JSON document.
    Json,
    /// An event stream.
    Sse,
}
