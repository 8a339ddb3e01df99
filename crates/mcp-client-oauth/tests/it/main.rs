//! The library against the testbed: one file for each topic.

#![allow(
    clippy::duplicate_mod,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may panic, and each example includes the support code that it shares"
)]

mod allow_list;
mod architecture;
mod authorization_code;
mod authorized;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod auto;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod auto_backend;
mod browser;
#[cfg(target_os = "linux")]
mod browser_launch;
mod chromium;
mod client;
mod client_authentication;
mod client_registration;
mod comparison;
#[cfg(unix)]
mod concurrent_refresh;
mod conformance_table;
#[cfg(unix)]
mod crash;
mod credentials;
mod dependencies;
mod device;
mod discovery;
mod documents;
mod dpop;
mod encrypted;
mod examples;
mod flaky_store;
mod format_versions;
mod fuzz_regressions;
mod hostile;
mod iss_missing;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod keychain;
mod leaks;
mod logout;
mod loopback;
mod mcp;
mod migration;
mod non_interactive;
mod nonce;
mod oidc_provider;
mod open_sessions;
mod plaintext_http;
mod properties;
mod providers;
mod public_networks;
mod quirks;
mod refresh;
mod registration_check;
mod replay;
mod shared_login;
mod store;
mod support;
mod tokens;
mod troubleshooting;
mod vault;
mod web;
mod web_app;
