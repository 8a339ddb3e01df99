//! Reads secrets from a variable, a file or stdin.

use std::{ffi::OsString, path::Path};

use mcp_client_oauth::Secret;

use crate::error::Failure;

/// Returns the value of a variable that holds a secret.
pub(super) fn text(variable: &str, value: OsString) -> Result<Secret<String>, Failure> {
    value
        .into_string()
        .map(Secret::new)
        .map_err(|_| not_text(variable))
}

pub(super) fn not_text(variable: &str) -> Failure {
    Failure::usage(
        format!("{variable} is not UTF-8 text"),
        format!("set {variable} again, or put the value into a file"),
    )
}

/// The longest password or secret in bytes: a device such as `/dev/zero` must not be read for ever.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Reads all of a secret.
pub(crate) fn read_whole_secret(
    mut source: impl std::io::Read,
    named: &Path,
) -> Result<Secret<String>, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = source
        .by_ref()
        .take(LONGEST_SECRET)
        .read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(|error| Failure::file("read", named, &error))?;
    Ok(text)
}

/// Reads a secret, to the first line break: editors add one.
pub(crate) fn read_secret(
    source: impl std::io::Read,
    named: &Path,
) -> Result<Secret<String>, Failure> {
    let text = read_whole_secret(source, named)?;
    let line = text.expose().lines().next().unwrap_or_default();
    if line.is_empty() {
        let message = format!("{} has no secret in its first line", named.display());
        return Err(Failure::usage(message, "write the secret there, alone"));
    }
    Ok(Secret::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_only_the_first_line() {
        let read = |bytes: &[u8]| read_secret(bytes, Path::new("secret"));
        assert_eq!(read(b"one\n").unwrap().expose(), "one");
        assert_eq!(read(b" one two \r\nthree").unwrap().expose(), " one two ");
        assert!(read(b"").is_err() && read(b"\n").is_err() && read(b"\xff").is_err());
    }
}
