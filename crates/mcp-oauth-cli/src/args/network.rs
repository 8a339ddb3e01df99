//! Whom connections trust, and as whom they come.

use std::path::PathBuf;

use clap::Args;

/// What is typed of it, with any command.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct NetworkFlags {
    /// A PEM file with certificate authorities to trust besides those of the system.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca_cert: Option<PathBuf>,
    /// A PEM file with a certificate for servers that ask who connects (mutual TLS), and its key
    /// unless --client-key has it.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// A PEM file with the key of that certificate.
    #[arg(long, global = true, value_name = "FILE", requires = "client_cert")]
    pub(crate) client_key: Option<PathBuf>,
}
