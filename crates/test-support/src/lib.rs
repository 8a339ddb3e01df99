//! What several test suites of this workspace share: a file for each fixture.
//!
//! | module | what it holds |
//! |---|---|
//! | [`bao`] | a real OpenBao |
//! | [`form_browser`] | a browser without a screen, which submits forms |
//! | `keychain` | a D-Bus session with a GNOME Keyring, and what is in it |
//! | [`strace`] | whether system calls can be traced |
//! | [`tool`] | what a test asks of the check script: whether a tool is left out |
//! | [`wait`] | a limit on every wait |
//! | [`port`] | a port that refuses connections |
//!
//! It uses nothing of the library: a suite adds what turns a fixture into values of the library.

#![expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a fixture may fail as the test itself may"
)]

pub mod bao;
pub mod form_browser;
#[cfg(target_os = "linux")]
pub mod keychain;
pub mod port;
pub mod strace;
pub mod tool;
pub mod wait;
