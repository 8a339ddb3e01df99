//! The settings of a proxy.

use std::{path::PathBuf, time::Duration};

use crate::filter::Filter;

/// The transports that are tried, in this order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Transport {
    /// Streamable HTTP, then HTTP with SSE.
    #[default]
    HttpFirst,
    /// HTTP with SSE, then streamable HTTP.
    SseFirst,
    /// Streamable HTTP only.
    HttpOnly,
    /// HTTP with SSE only (MCP 2024-11-05).
    SseOnly,
}

/// The limits of a response of the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The timeout of its head.
    pub(crate) timeout: Duration,
    /// The maximum size of a JSON body or of an event of a stream, in bytes.
    pub(crate) size: usize,
}

impl Limits {
    /// Five minutes, and 64 MiB.
    pub(crate) const DEFAULT: Self = Self {
        timeout: Duration::from_secs(5 * 60),
        size: 64 << 20,
    };
}

/// The time that a call waits for a login that its client shows. Clients of the TypeScript SDK, among others,
/// give up a call after a minute.
pub(crate) const LOGIN_WAIT: Duration = Duration::from_secs(50);

/// The settings of a proxy on stdio, and of each session over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) filter: Filter,
    /// The time that a call waits for a login.
    pub(crate) login_wait: Duration,
    /// The name and the version of the host, for a client that is served before the server is reached.
    pub(crate) server_info: (String, String),
    /// The file with the remembered capabilities of the server.
    pub(crate) capability_file: Option<PathBuf>,
}
