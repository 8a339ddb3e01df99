//! How tokens are to be got, if not by a browser on this machine.

use std::path::PathBuf;

use clap::Args;
use mcp_client_oauth::platform::AssertionSource;

/// How tokens are to be got.
#[derive(Args, Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Other kinds of login")]
pub(crate) struct WayFlags {
    /// Show a code, which is entered in a browser on any device.
    #[arg(long, conflicts_with_all = ["port", "redirect_uri", "no_browser"])]
    pub(crate) device: bool,
    /// Ask nobody: the client gets tokens in its own name, by its secret or its key.
    #[arg(long, conflicts_with = "device")]
    pub(crate) client_credentials: bool,
    /// Ask nobody: a workload gets tokens by the JWT that its platform gives it, which is read anew
    /// each time. `cmd:` is a program and its arguments, separated by blanks; there is no shell.
    #[arg(
        long,
        value_name = "FILE|env:NAME|cmd:PROGRAM",
        value_parser = assertion_source,
        conflicts_with_all = ["device", "client_credentials"],
    )]
    pub(crate) workload_token: Option<AssertionSource>,
    /// A PEM file with the PKCS#8 key by which the client proves who it is. It is sealed with the
    /// login.
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Take only tokens that are bound to a key of this login (DPoP).
    #[arg(long)]
    pub(crate) dpop: bool,
    /// Ask nobody if a login of the same account at another server of the same issuer does here.
    #[arg(long, conflicts_with_all = ["client_credentials", "workload_token"])]
    pub(crate) share: bool,
}

/// A file is named as a whole, for it is read again from other directories.
pub(super) fn assertion_source(text: &str) -> Result<AssertionSource, String> {
    if let Some(name) = text.strip_prefix("env:") {
        if name.is_empty() {
            return Err("name a variable, as in env:NAME".to_owned());
        }
        return Ok(AssertionSource::Variable(name.to_owned()));
    }
    if let Some(line) = text.strip_prefix("cmd:") {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err("name a program, as in cmd:PROGRAM".to_owned());
        }
        return Ok(AssertionSource::Command(words));
    }
    let file = std::path::absolute(text).map_err(|error| error.to_string())?;
    Ok(AssertionSource::File(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assertion_comes_from_a_file_a_variable_or_a_program() {
        let words = ["vault", "read", "-field=jwt"].map(str::to_owned).to_vec();
        for (text, source) in [
            ("env:JWT", AssertionSource::Variable("JWT".to_owned())),
            (
                "cmd: vault read  -field=jwt",
                AssertionSource::Command(words),
            ),
        ] {
            assert_eq!(assertion_source(text), Ok(source), "{text}");
        }
        let file = assertion_source("token.jwt").unwrap();
        assert!(matches!(file, AssertionSource::File(path) if path.is_absolute()));
        assert!(assertion_source("env:").is_err() && assertion_source("cmd: ").is_err());
    }
}
