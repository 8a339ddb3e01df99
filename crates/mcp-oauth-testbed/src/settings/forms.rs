//! The forms of the servers' metadata and responses.

/// A location of the authorization server metadata.
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

/// The location of the protected resource metadata.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PrmForm {
    /// At `/.well-known/oauth-protected-resource/mcp`; the challenge names it.
    Header,
    /// At `/.well-known/oauth-protected-resource/mcp`; the challenge does not name it.
    PathOnly,
    /// At `/.well-known/oauth-protected-resource`; the challenge does not name it.
    RootOnly,
    /// At this path only; the challenge names it.
    Custom(String),
    /// Not published.
    None,
}

/// A server of the revision 2025-03-26: no protected resource metadata, and an authorization
/// server on the origin of the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Legacy {
    /// With RFC 8414 metadata at the root.
    Metadata,
    /// Without metadata: the client uses the default paths `/authorize`, `/token` and `/register`.
    Endpoints,
}

/// The protocol revisions that the MCP server supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProtocolEra {
    /// All of them.
    #[default]
    All,
    /// 2025-03-26, 2025-06-18 and 2025-11-25: `initialize` and sessions.
    Stateful,
    /// 2026-07-28: requests without sessions.
    Stateless,
    /// 2024-11-05, HTTP with SSE: `GET` of the server URL opens the stream, which names the URL for
    /// messages.
    HttpWithSse,
}

/// The form of the MCP server's responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseForm {
    /// One JSON document.
    Json,
    /// An event stream.
    Sse,
}
