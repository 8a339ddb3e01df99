//! Checks on the sources of this workspace, run as tests: they use the words of the glossary, and no
//! files of a crate depend on each other in a cycle.
//!
//! They read the sources as text. Nothing here is part of a published crate.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a check that cannot read the sources has failed"
)]

pub mod cycles;
pub mod files;
mod modules;
pub mod words;
