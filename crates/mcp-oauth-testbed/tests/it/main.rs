//! Tests both servers over HTTP, without a client library.

#![allow(clippy::unwrap_used, reason = "a panic shows where a test failed")]

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
