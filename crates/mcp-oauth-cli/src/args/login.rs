//! What is typed after `login`.

use std::time::Duration;

use clap::Args;
use mcp_client_oauth::proto::scope::Scope;
use url::Url;

use super::{
    duration::duration, grant_args::GrantFlags, idp::IdpFlags, login_args::LoginFlags,
    quirks::QuirkFlags,
};

pub(super) const LOGIN_EXAMPLES: &str = "\
Examples:
  mcp-oauth login notes https://mcp.example.com/mcp
  mcp-oauth login notes                        again, with the URL that the name stands for
  mcp-oauth login https://mcp.example.com/mcp  with a name that is made of the host
  mcp-oauth login notes --scope 'notes:read notes:write'
  mcp-oauth login notes URL --device           with a code that is entered on another device
  mcp-oauth login robot URL --client-credentials --client-id robot --private-key robot.pem
  mcp-oauth login job URL --workload-token /var/run/secrets/tokens/mcp
  mcp-oauth login work URL --client-id app --idp https://idp.example --idp-client-id app-at-idp \\
    --idp-token-endpoint https://idp.example/token --id-token 'cmd:sso print id-token'
  pass show notes | mcp-oauth login notes URL --client-id me --client-secret-stdin

Where no browser can be opened, a code for another device is shown if the server gives one;
--no-browser, --port and --redirect-uri say that a browser is to come back here all the same.
Scope, client, port, the kind of login, --dpop, --share, --legacy and what the server wants
otherwise are remembered with the name. `login NAME URL --force` forgets them, except the account
and the client id with its port; `--port 0` forgets the port alone.
A login that is valid and has the scope is used again without a question, unless --force,
--client-id, --client-metadata-url or --legacy is given. Names of the same URL and account are one
login: --account keeps another.";

/// `login`.
#[derive(Args, Debug)]
pub(crate) struct Login {
    /// A name of your choice, or the URL alone.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The URL of the MCP server; not needed for a name that is known.
    #[arg(value_name = "URL")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) who: LoginFlags,
    /// What to request, as the Python command `chuk-mcp-client-oauth` has it: several values.
    #[arg(long, hide = true, num_args = 1.., value_name = "SCOPE", conflicts_with = "scope")]
    pub(crate) scopes: Vec<Scope>,
    /// Read the secret of the client from stdin.
    #[arg(long, hide_short_help = true)]
    pub(crate) client_secret_stdin: bool,
    /// The port on 127.0.0.1 that the browser comes back to; 0 is any free one, as by default.
    #[arg(long, hide_short_help = true)]
    pub(crate) port: Option<u16>,
    /// The whole redirect URI, for a client that was registered with another one.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "URI",
        conflicts_with = "port"
    )]
    pub(crate) redirect_uri: Option<Url>,
    /// How long the login may take, as in `90s` or `10m`; five minutes by default.
    #[arg(long, value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Log in anew: forget what was learnt about the server, and register as a new client.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) way: GrantFlags,
    #[command(flatten)]
    pub(crate) idp: IdpFlags,
    #[command(flatten)]
    pub(crate) quirks: QuirkFlags,
}

impl Login {
    /// Returns the scope that was typed, by either flag.
    pub(crate) fn scope(&self) -> Option<Scope> {
        let scopes = self.scopes.iter();
        scopes.fold(self.who.scope.clone(), |all, scope| {
            Scope::union_of(all.as_ref(), Some(scope))
        })
    }
}
