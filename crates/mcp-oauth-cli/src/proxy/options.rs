//! What may be chosen of a proxy.

use std::{path::PathBuf, time::Duration};

use super::filter::Filter;
use crate::hints::Subject;

/// Says which transports are tried, in which order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Transport {
    /// Streamable HTTP, else HTTP with SSE.
    HttpFirst,
    /// HTTP with SSE, else streamable HTTP.
    SseFirst,
    /// Streamable HTTP.
    HttpOnly,
    /// HTTP with SSE, as of 2024-11-05.
    SseOnly,
}

/// Holds what a response of the server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Says how long its head may take.
    pub(crate) patience: Duration,
    /// Says how large a JSON text, or an event of a stream, may be in bytes.
    pub(crate) size: usize,
}

/// Holds what may be chosen.
pub(crate) struct Options {
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) filter: Filter,
    /// Says where it is remembered what the server can do.
    pub(crate) memory: Option<PathBuf>,
    /// As the person typed it, for hints.
    pub(crate) subject: Subject,
}
