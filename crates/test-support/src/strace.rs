//! The check that system calls can be traced.

use std::process::Command;

use crate::tool::is_skipped;

/// Returns whether strace is installed. The check script installs it, or skips these tests: then this
/// returns `false`.
pub fn is_installed() -> bool {
    if is_skipped("MCP_OAUTH_TEST_STRACE", "there is no strace to test with") {
        return false;
    }
    assert!(
        Command::new("strace").arg("-V").output().is_ok(),
        "no strace: run `scripts/check test`, or set MCP_OAUTH_TEST_STRACE to `skip`"
    );
    true
}
