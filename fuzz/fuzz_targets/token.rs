//! Any status and body: a token that is taken can go into a header, and survives storage.
#![no_main]

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{platform::Response, proto::token::{self, Scheme}};

fuzz_target!(|input: (u16, bool, &[u8])| {
    let scheme = if input.1 { Scheme::DPoP } else { Scheme::Bearer };
    let status = StatusCode::from_u16(input.0 % 500 + 100).unwrap();
    let answer = Response::new(status, HeaderMap::new(), input.2.to_vec());
    match token::response(&answer, SystemTime::UNIX_EPOCH, &["a secret of ours"], scheme) {
        Ok(tokens) => assert!(tokens.authorization_header().is_sensitive()),
        Err(error) => assert!(!error.to_string().contains("a secret of ours")),
    }
});
