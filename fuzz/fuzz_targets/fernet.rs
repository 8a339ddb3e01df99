#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| mcp_client_oauth_fuzz::fernet(input));
