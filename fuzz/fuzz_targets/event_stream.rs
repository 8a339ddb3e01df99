#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| mcp_oauth_adapters::fuzz_targets::event_stream(input));
