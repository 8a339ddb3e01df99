//! Checks on the sources of this workspace, run as tests: which words they use, and that no files
//! depend on each other in a circle.
//!
//! They read the sources as text. Nothing here is part of a published crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a check that cannot read the sources has failed"
)]

pub mod circles;
pub mod files;
mod modules;
pub mod words;
