//! Tests of the proxy in one process with its client, as a desktop application uses it: its server is the
//! testbed on loopback.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

mod desktop_app;
mod elicitation;
mod http_app;
mod http_endpoint;
mod http_sessions;
mod log_in_tool;
mod retried_calls;
mod support;
