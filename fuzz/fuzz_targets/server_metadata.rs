//! Any body: metadata that is taken has the issuer that was asked for, and safe endpoints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{
    platform::Reach,
    proto::server_metadata::{Issuer, ServerMetadata},
};

fuzz_target!(|body: &[u8]| {
    let issuer = Issuer::new("https://as.example");
    if let Ok(metadata) = ServerMetadata::parse(body, &issuer, Reach::Public) {
        assert_eq!(metadata.issuer, issuer);
        assert_eq!(metadata.token_endpoint.as_url().scheme(), "https");
    }
});
