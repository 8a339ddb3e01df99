//! The settings of a proxy.

use std::{path::PathBuf, time::Duration};

use super::filter::Filter;
use crate::hints::Subject;

/// The transports that are tried, in this order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// Streamable HTTP, then HTTP with SSE.
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

/// The settings.
pub(crate) struct Options {
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) filter: Filter,
    /// The file with the remembered capabilities of the server.
    pub(crate) capability_file: Option<PathBuf>,
    /// The server as the user typed it, for hints.
    pub(crate) subject: Subject,
}
