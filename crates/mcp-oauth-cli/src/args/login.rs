//! The arguments of `login`.

use std::time::Duration;

use clap::Args;
use mcp_client_oauth::flow::Scope;
use url::Url;

use super::{
    duration::duration, grant_args::GrantFlags, idp::IdpFlags, login_args::LoginFlags,
    quirks::QuirkFlags,
};

pub(super) const LOGIN_EXAMPLES: &str = "\
Examples:
  mcp-oauth login notes https://mcp.example.com/mcp
  mcp-oauth login notes                        log in again, with the URL of the name
  mcp-oauth login https://mcp.example.com/mcp  derive the name from the host
  mcp-oauth login notes --scope 'notes:read notes:write'
  mcp-oauth login notes URL --device           show a code to enter on another device
  mcp-oauth login --complete                   enter the URL that a remote browser ended on
  mcp-oauth login robot URL --client-credentials --client-id robot --private-key robot.pem
  mcp-oauth login job URL --workload-token /var/run/secrets/tokens/mcp
  mcp-oauth login work URL --client-id app --idp https://idp.example --idp-client-id app-at-idp \\
    --idp-token-endpoint https://idp.example/token --id-token 'cmd:sso print id-token'
  pass show notes | mcp-oauth login notes URL --client-id me --client-secret-stdin

If no browser can be opened, a code for another device is shown where the server supports it; with
--no-browser, --port or --redirect-uri a URL is shown, and a browser has to be redirected here.
Scope, client, port, grant, --dpop, --reuse-login, --legacy and the overrides for the server are
stored with the name. `login NAME URL --force` resets them, except the account and the client ID
with its port; `--port 0` resets only the port.
A valid login that has the scope is reused without opening a browser, unless --force, --client-id,
--client-metadata-url or --legacy is given. Names with the same URL and account share one login: use
--account for another login.
At the end of a login the browser loads a page of 127.0.0.1. In a browser on another machine that
page fails to load: copy its URL, run `login --complete` on the machine where the login (or the
proxy) waits, and enter the URL there. It is read from the terminal or from stdin.";

pub(super) const LOGIN_USAGE: &str = "mcp-oauth login [OPTIONS] <NAME> [URL]
       mcp-oauth login --complete";

/// `login`.
#[derive(Args, Debug)]
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
    /// Redirect the browser to this port on 127.0.0.1; 0, the default, is any free port.
    #[arg(long, hide_short_help = true, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Use this redirect URI, for a client that was registered with another one than the default.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "URI",
        conflicts_with = "port"
    )]
    pub(crate) redirect_uri: Option<Url>,
    /// Wait at most this long for the login, as in `90s` or `10m`; five minutes by default.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Log in again: run discovery again, and register a new client.
    #[arg(long)]
    pub(crate) force: bool,
    /// Complete a pending login with the URL that its browser ended on.
    #[arg(
        long,
        conflicts_with_all = [
            "name", "url", "scopes", "client_secret_stdin", "port", "redirect_uri", "timeout", "force",
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
    /// Returns the scope that was typed, by either flag.
    pub(crate) fn scope(&self) -> Option<Scope> {
        let scopes = self.scopes.iter();
        scopes.fold(self.flags.scope.clone(), |all, scope| {
            Scope::union_of(all.as_ref(), Some(scope))
        })
    }
}
