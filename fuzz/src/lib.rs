//! What must hold for any bytes, parser by parser: the bodies of the fuzz targets.
//!
//! A fuzz target is one line that calls its function; the test `it fuzzed::…` of the library calls
//! the same function with each file of `seeds/`, with a stable compiler. What a function asserts is
//! what a stranger may never achieve; that nothing panics, hangs or swells is asserted by itself.

mod messages;
mod stored;

pub use messages::{
    assertion, callback, challenge, device, event_stream, id_token, oauth_error, private_key,
    registration, resource_metadata, server_metadata, token, token_exchange,
};
pub use stored::{record, sealed_file};

/// What is called with the bytes.
pub type Parser = fn(&[u8]);

/// Each parser by the name of its fuzz target and of its folder in `seeds/`.
pub const PARSERS: &[(&str, Parser)] = &[
    ("assertion", assertion),
    ("callback", callback),
    ("challenge", challenge),
    ("device", device),
    ("oauth_error", oauth_error),
    ("event_stream", event_stream),
    ("id_token", id_token),
    ("private_key", private_key),
    ("record", record),
    ("registration", registration),
    ("resource_metadata", resource_metadata),
    ("sealed_file", sealed_file),
    ("server_metadata", server_metadata),
    ("token", token),
    ("token_exchange", token_exchange),
];
