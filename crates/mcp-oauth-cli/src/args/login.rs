//! The arguments of `login`.

use std::time::Duration;

use clap::Args;
use mcp_client_oauth::flow::Scope;
use url::Url;

use super::{
    duration::duration, grant_args::GrantFlags, idp::IdpFlags, login_args::LoginFlags,
    quirks::QuirkFlags,
};

/// `login`.
#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub(crate) struct Login {
    /// A name of your choice, or the URL alone.
    #[arg(value_name = "NAME", required_unless_present = "complete")]
    pub(crate) name: Option<String>,
    /// The URL of the MCP server; not needed for a name that is known.
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) flags: LoginFlags,
    /// Request these scopes, as several values, as in the Python command `chuk-mcp-client-oauth`.
    #[arg(long, hide = true, num_args = 1.., value_name = "SCOPE", conflicts_with = "scope")]
    pub(crate) scopes: Vec<Scope>,
    /// Read the secret of the client from stdin.
    #[arg(long, hide_short_help = true)]
    pub(crate) client_secret_stdin: bool,
    /// Redirect the browser to this port on 127.0.0.1.
    ///
    /// 0, the default, is any free port.
    #[arg(long, hide_short_help = true, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Use this redirect URI.
    ///
    /// This is for a client that was registered with another one than the default.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "URI",
        conflicts_with = "port"
    )]
    pub(crate) redirect_uri: Option<Url>,
    /// Wait at most this long for the login, as in `90s` or `10m`.
    ///
    /// Without this option, five minutes; ten with --no-wait.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Log in again: run discovery again, and register a new client.
    #[arg(long)]
    pub(crate) force: bool,
    /// Begin the login, print its URL, and end; `login --complete` completes it.
    #[arg(long, conflicts_with_all = ["device", "client_credentials", "workload_token", "idp"])]
    pub(crate) no_wait: bool,
    /// Complete a pending login with the URL that its browser ended on.
    ///
    /// The URL is read from the terminal or from stdin.
    #[arg(
        long,
        conflicts_with_all = [
            "url", "no_wait", "scopes", "client_secret_stdin", "port", "redirect_uri", "timeout", "force",
            "LoginFlags", "GrantFlags", "IdpFlags", "QuirkFlags",
        ],
    )]
    pub(crate) complete: bool,
    #[command(flatten)]
    pub(crate) grant: GrantFlags,
    #[command(flatten)]
    pub(crate) idp: IdpFlags,
    #[command(flatten)]
    pub(crate) quirks: QuirkFlags,
}

impl Login {
    /// Returns the arguments of a login at this server, with its stored options.
    pub(crate) fn at(server: &str, account: Option<&str>) -> Self {
        let flags = LoginFlags {
            account: account.map(str::to_owned),
            ..LoginFlags::default()
        };
        Self {
            name: Some(server.to_owned()),
            url: None,
            flags,
            scopes: Vec::new(),
            client_secret_stdin: false,
            port: None,
            redirect_uri: None,
            timeout: None,
            force: false,
            no_wait: false,
            complete: false,
            grant: GrantFlags::default(),
            idp: IdpFlags::default(),
            quirks: QuirkFlags::default(),
        }
    }

    /// Returns the scope that was typed, by either flag.
    pub(crate) fn scope(&self) -> Option<Scope> {
        let scopes = self.scopes.iter();
        scopes.fold(self.flags.scope.clone(), |all, scope| {
            Scope::union_of(all.as_ref(), Some(scope))
        })
    }
}
