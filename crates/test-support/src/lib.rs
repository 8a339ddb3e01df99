//! The fixtures that several test suites of this workspace share, one in each file.
//!
//! | module | content |
//! |---|---|
//! | [`bao`] | a real OpenBao server |
//! | [`form_browser`] | a scripted browser, which submits forms |
//! | [`nginx`] | a real nginx before several replicas |
//! | `keychain` | a D-Bus session with a GNOME Keyring, and its entries |
//! | [`strace`] | the check that strace is installed |
//! | [`tool`] | the tools that the check script skips |
//! | [`wait`] | a timeout for every wait |
//! | [`port`] | a port that refuses connections |
//!
//! It does not use the library: a suite converts a fixture into values of the library.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a fixture may panic like the test itself"
)]

pub mod bao;
pub mod form_browser;
#[cfg(target_os = "linux")]
pub mod keychain;
pub mod nginx;
pub mod port;
pub mod strace;
pub mod tool;
pub mod wait;
