//! Tests of the real binary against an in-process testbed on loopback, in temporary directories.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

mod backends;
mod config;
mod core_dump;
mod declined;
mod demo;
mod device;
mod expired;
mod hints;
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
mod non_interactive;
mod proxy;
mod python_command;
mod quirks;
mod refusals;
mod registration;
mod request;
mod share;
mod signals;
mod sources;
mod stores;
mod support;
#[cfg(target_os = "linux")]
mod terminal;
mod usage;
mod vault;
