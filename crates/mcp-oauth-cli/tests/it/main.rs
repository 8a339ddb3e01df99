//! Tests of the real binary against an in-process testbed on loopback, in temporary directories.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

mod core_dump;
mod declined;
mod demo;
mod device;
mod headers;
mod hints;
mod install;
mod journey;
mod json;
#[cfg(target_os = "linux")]
mod keychain;
mod leaks;
mod legacy;
mod login;
mod migrate;
mod names;
mod network;
mod no_wait;
mod non_interactive;
mod proxy;
mod prune;
mod python_command;
mod quirks;
mod refusals;
mod registration;
mod request;
mod reuse_login;
mod signals;
mod sources;
mod store_list;
mod stores;
mod support;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod transcripts;
mod usage;
mod vault;
