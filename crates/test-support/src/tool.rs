//! The variables that the check script sets for tests.

/// Returns a variable that the check script, or a test that starts itself again, has set.
#[expect(
    clippy::disallowed_methods,
    reason = "the check script and a parent process pass options to a test"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns whether the check script skips the tests that need a tool, because it cannot be installed. The
/// summary of the script repeats the line that this function prints.
pub fn is_skipped(variable_name: &str, reason: &str) -> bool {
    let skip = variable(variable_name).is_some_and(|value| value == "skip");
    if skip {
        eprintln!("SKIPPED: {reason}");
    }
    skip
}
