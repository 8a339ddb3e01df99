//! The arguments of `install`, `uninstall` and `bundle`, and of `config`, an older form of `install`.

use std::path::PathBuf;

use clap::Args;

use super::app::{App, Via};

/// `install`.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Install {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Select the application.
    #[arg(long, value_enum, value_name = "APP")]
    pub(crate) app: App,
    /// Select what the application runs.
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    pub(crate) via: Via,
    /// Write this file, instead of the usual one.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print the change as a unified diff, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print the entry, and write nothing.
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) print: bool,
    /// Replace an entry of the same name that does not run mcp-oauth.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Allow plain http, as for `login`, for a URL that has no name.
    #[arg(long)]
    pub(crate) allow_http: bool,
}

/// `uninstall`.
#[derive(Args, Debug)]
pub(crate) struct Uninstall {
    /// The name of the entry, or the URL that it was made for.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Select the application.
    #[arg(long, value_enum, value_name = "APP")]
    pub(crate) app: App,
    /// Change this file, instead of the usual one.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Print the change as a unified diff, and write nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `bundle`.
#[derive(Args, Debug)]
pub(crate) struct Bundle {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Write this file, instead of `NAME.mcpb` in the current directory.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Allow plain http, as for `login`, for a URL that has no name.
    #[arg(long)]
    pub(crate) allow_http: bool,
}

/// `config`, an older form of `install`: it prints the entry unless `--write` is given.
#[derive(Args, Debug)]
pub(crate) struct Config {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// Select the application.
    #[arg(long = "for", value_enum, value_name = "APP")]
    pub(crate) r#for: App,
    /// Allow plain http, as for `login`, for a URL that has no name.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Write the entry to the file of the application.
    #[arg(long)]
    pub(crate) write: bool,
    /// Write this file, instead of the usual one.
    #[arg(long, value_name = "FILE", requires = "write")]
    pub(crate) file: Option<PathBuf>,
}

impl From<Config> for Install {
    /// The older form replaced an entry of the same name, whatever that ran.
    fn from(config: Config) -> Self {
        Self {
            server: config.server,
            app: config.r#for,
            via: Via::Proxy,
            file: config.file,
            dry_run: false,
            print: !config.write,
            overwrite: true,
            allow_http: config.allow_http,
        }
    }
}
