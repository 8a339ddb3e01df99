//! What a test asks of the check script.

/// Reads a variable that the check script, or a test that starts itself again, has set.
#[expect(
    clippy::disallowed_methods,
    reason = "how the check script and a parent process speak to a test"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Returns whether the check script leaves out the tests that need a tool, because it cannot be installed.
/// It repeats in its summary what is printed here.
pub fn is_skipped(variable_name: &str, reason: &str) -> bool {
    let skip = variable(variable_name).is_some_and(|value| value == "skip");
    if skip {
        eprintln!("SKIPPED: {reason}");
    }
    skip
}
