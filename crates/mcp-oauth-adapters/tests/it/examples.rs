//! Every example runs to its end, offline.

#[path = "../../examples/other_clients.rs"]
mod other_clients;
#[path = "../../examples/rmcp_client.rs"]
mod rmcp_client;

#[test]
fn other_http_clients() {
    other_clients::main().unwrap();
}

#[test]
fn the_rmcp_client() {
    rmcp_client::main().unwrap();
}
