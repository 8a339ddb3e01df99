//! The assertions that hold for any bytes, parser by parser: the bodies of the fuzz targets.
//!
//! A fuzz target is one line that calls its function; the test `it fuzz_regressions::…` of the library calls
//! the same function with each file of `seeds/`, with a stable compiler. What a function asserts is
//! what an attacker must never achieve; a panic, a hang or too much memory fails by itself.

mod messages;
mod stored;

pub use messages::{
    assertion, callback, challenge, device, event_stream, id_token, oauth_error, private_key,
    registration, resource_metadata, server_metadata, token, token_exchange,
};
pub use stored::{encrypted_file, record};

/// A function that is called with the bytes.
pub type Parser = fn(&[u8]);

/// Each parser by the name of its fuzz target and of its folder in `seeds/`.
pub const PARSERS: &[(&str, Parser)] = &[
    ("assertion", assertion),
    ("callback", callback),
    ("challenge", challenge),
    ("device", device),
    ("encrypted_file", encrypted_file),
    ("event_stream", event_stream),
    ("id_token", id_token),
    ("oauth_error", oauth_error),
    ("private_key", private_key),
    ("record", record),
    ("registration", registration),
    ("resource_metadata", resource_metadata),
    ("server_metadata", server_metadata),
    ("token", token),
    ("token_exchange", token_exchange),
];
