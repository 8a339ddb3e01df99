//! Drives both servers over HTTP, by hand: no client library takes part.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot go on says where it stopped"
)]

mod authorization;
mod browser;
mod challenge;
mod client_credentials;
mod client_documents;
mod device;
mod dpop;
mod dpop_at_the_server;
mod enterprise;
mod faults_callback;
mod faults_metadata;
mod faults_token;
mod jwt_bearer;
mod legacy;
mod mcp;
mod registration;
mod resources;
mod rmcp_client;
mod signing;
mod tokens;
