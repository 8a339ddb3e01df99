//! The real binary against an in-process testbed, over loopback, in directories of its own.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may fail as the test itself may"
)]

mod demo;
mod journey;
mod json;
mod leaks;
mod login;
mod refusals;
mod request;
mod signals;
mod stores;
mod support;
mod usage;
