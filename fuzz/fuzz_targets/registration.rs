//! Any registration answer: a client id that is taken can go into a form and a header.
#![no_main]

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{platform::Response, proto::registration};

fuzz_target!(|body: &[u8]| {
    let answer = Response::new(StatusCode::CREATED, HeaderMap::new(), body.to_vec());
    let redirect_uri = "http://127.0.0.1:1/callback".parse().unwrap();
    if let Ok(client) = registration::response(&answer, Some(&redirect_uri), SystemTime::UNIX_EPOCH) {
        assert!(client.client_id.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
});
