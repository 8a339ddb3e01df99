//! The flags of the grants other than a browser on this machine.

use std::path::PathBuf;

use clap::Args;

use crate::assertion::Source;

/// The flags that choose a grant, and its credentials.
#[derive(Args, Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Other kinds of login")]
pub(crate) struct GrantFlags {
    /// Show a code to enter in a browser on any device.
    #[arg(long, conflicts_with_all = ["port", "redirect_uri", "no_browser"])]
    pub(crate) device: bool,
    /// Log in non-interactively as the client itself, with its secret or its key.
    #[arg(long, conflicts_with = "device")]
    pub(crate) client_credentials: bool,
    /// Log in non-interactively with the JWT that the platform gives to a workload.
    ///
    /// It is read again for each new token. `cmd:` is a program and its arguments, separated by blanks;
    /// there is no shell. The source is stored with the name of the server on this machine, unencrypted,
    /// and not with the tokens: another host that shares the store needs it too.
    #[arg(
        long,
        value_name = "FILE|env:NAME|cmd:PROGRAM",
        value_parser = Source::parse,
        conflicts_with_all = ["device", "client_credentials"],
    )]
    pub(crate) workload_token: Option<Source>,
    /// Authenticate the client with the PKCS#8 key in this PEM file.
    ///
    /// It is stored encrypted with the login.
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key: Option<PathBuf>,
    /// Accept only tokens that are bound to a key of this login (DPoP).
    #[arg(long)]
    pub(crate) dpop: bool,
    /// Reuse a login of the same account at another server of the same issuer.
    ///
    /// Without such a login, log in.
    #[arg(long, alias = "share", conflicts_with_all = ["client_credentials", "workload_token"])]
    pub(crate) reuse_login: bool,
}
