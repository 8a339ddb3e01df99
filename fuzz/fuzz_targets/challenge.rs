//! Any header line: no panic, and a value belongs to a scheme that stands before it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::proto::challenge;

fuzz_target!(|line: &[u8]| {
    for challenge in challenge::parse(line) {
        assert!(!challenge.scheme.is_empty());
        assert!(challenge.params.iter().all(|(name, _)| !name.is_empty()));
    }
});
