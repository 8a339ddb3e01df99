//! The library against the testbed: a file for each step of the way.

#![allow(
    clippy::duplicate_mod,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may fail loudly, and each example brings the support that it shares"
)]

mod adapters;
mod allow_list;
mod authorization_code;
mod authorized;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod auto;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod auto_backend;
mod browser;
mod client_authentication;
mod conformance_table;
#[cfg(unix)]
mod crash;
mod dependencies;
mod device;
mod discovery;
mod dpop;
mod examples;
mod fuzzed;
#[cfg(unix)]
mod herd;
mod hostile;
mod identity;
mod in_clear;
mod iss_missing;
#[cfg(all(feature = "keychain", target_os = "linux"))]
mod keychain;
mod layers;
mod leaks;
mod logout;
mod loopback;
mod machine;
mod mcp;
mod moody;
mod nonce;
mod oidc_provider;
#[cfg(target_os = "linux")]
mod opener;
mod properties;
mod providers;
mod quirks;
mod refresh;
mod registration_check;
mod replay;
mod sealed;
mod sessions;
mod shared_login;
mod store;
mod support;
mod tokens;
mod transfer;
mod troubleshooting;
#[cfg(feature = "vault")]
mod vault;
mod versions;
