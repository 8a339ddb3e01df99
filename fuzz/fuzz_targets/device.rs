//! Any answer of a device endpoint: what is shown is visible ASCII, and every time is bounded.
#![no_main]

use http::{HeaderMap, StatusCode};
use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{
    platform::{Reach, Response},
    proto::device::{self, LONGEST_CODE_LIFE, LONGEST_INTERVAL, SHORTEST_INTERVAL},
};

fuzz_target!(|body: &[u8]| {
    let answer = Response::new(StatusCode::OK, HeaderMap::new(), body.to_vec());
    match device::response(&answer, Reach::Public, &["a secret of ours"]) {
        Ok(code) => {
            let shown = code.user_code.to_string();
            assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            assert_eq!(code.verification_uri.as_url().scheme(), "https");
            assert!(code.expires_in <= LONGEST_CODE_LIFE);
            assert!((SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&code.interval));
        }
        Err(error) => assert!(!error.to_string().contains("a secret of ours")),
    }
});
