//! How tokens are to be got, if not by a browser on this machine.

use std::path::PathBuf;

use clap::Args;

use crate::assertion::Source;

/// How tokens are to be got.
#[derive(Args, Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
#[command(next_help_heading = "Other kinds of login")]
pub(crate) struct GrantFlags {
    /// Show a code, which is entered in a browser on any device.
    #[arg(long, conflicts_with_all = ["port", "redirect_uri", "no_browser"])]
    pub(crate) device: bool,
    /// Ask nobody: the client gets tokens in its own name, by its secret or its key.
    #[arg(long, conflicts_with = "device")]
    pub(crate) client_credentials: bool,
    /// Ask nobody: a workload gets tokens by the JWT that its platform gives it, which is read anew
    /// each time. `cmd:` is a program and its arguments, separated by blanks; there is no shell. The
    /// source is remembered with the name of the server on this machine, unencrypted, and is not kept
    /// with the tokens: another host that shares the store needs it too.
    #[arg(
        long,
        value_name = "FILE|env:NAME|cmd:PROGRAM",
        value_parser = Source::parse,
        conflicts_with_all = ["device", "client_credentials"],
    )]
    pub(crate) workload_token: Option<Source>,
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
