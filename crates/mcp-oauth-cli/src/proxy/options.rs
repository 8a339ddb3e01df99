//! What may be chosen of a proxy.

use std::{path::PathBuf, time::Duration};

use super::filter::Filter;
use crate::hints::Subject;

/// Which transports are tried, in which order.
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

/// What a response of the server may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long its head may take.
    pub(crate) patience: Duration,
    /// How large a JSON text, or an event of a stream, may be in bytes.
    pub(crate) size: usize,
}

/// What may be chosen.
pub(crate) struct Options {
    pub(crate) transport: Transport,
    pub(crate) limits: Limits,
    pub(crate) filter: Filter,
    /// Where it is remembered what the server can do.
    pub(crate) memory: Option<PathBuf>,
    /// As the person typed it, for hints.
    pub(crate) subject: Subject,
}
