//! Test doubles of the platform of `mcp-client-oauth`, for tests of applications that use it, and the
//! contract of its stores as a test.

pub mod contract;
mod doubles;

pub use doubles::{ManualClock, RecordedInteraction, ScriptedHttp};
