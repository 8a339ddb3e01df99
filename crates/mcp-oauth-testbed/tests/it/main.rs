//! Drives both servers over HTTP, by hand: no client library takes part.

mod authorization;
mod browser;
mod faults_callback;
mod faults_metadata;
mod faults_token;
mod legacy;
mod mcp;
mod registration;
mod tokens;
