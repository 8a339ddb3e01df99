//! Any body: metadata that is taken belongs to the server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcp_client_oauth::{ServerUrl, proto::resource_metadata::ResourceMetadata};

fuzz_target!(|body: &[u8]| {
    let server: ServerUrl = "https://mcp.example/a/mcp".parse().unwrap();
    if let Ok(metadata) = ResourceMetadata::parse(body, &server) {
        assert!(metadata.resource.covers(server.as_url()));
        assert!(metadata.authorization_servers.len() <= 8);
    }
});
