//! What is typed after `proxy`.

use std::time::Duration;

use clap::Args;
use mcp_client_oauth::proto::scope::Scope;
use url::Url;

use super::{IdpFlags, Login, QuirkFlags, WayFlags, duration};
use crate::proxy::Transport;

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-oauth proxy https://mcp.example.com/mcp       what an application runs instead of a server
  mcp-oauth proxy notes                             the server `notes`, with what `login` remembers
  mcp-oauth proxy notes --header 'X-Team: ${TEAM}'  `${NAME}` is replaced by the variable NAME
  mcp-oauth proxy notes --ignore-tool 'delete*'     tools that the application is not to see

Messages are on stdin and stdout, one a line; all else is on stderr. The application gets its
answers while nobody is logged in; the login goes on beside it, and a call says where. Proxies for
the same server share one login.";

/// `proxy`.
#[derive(Args, Debug)]
pub(crate) struct Proxy {
    /// The URL of the MCP server, or its name (see `list`).
    #[arg(value_name = "URL|NAME")]
    pub(crate) server: String,
    /// A header for each request, as in `Name: value`; may be given several times. `${NAME}` is
    /// replaced by a variable of the environment. With `Authorization` nobody has to log in.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// Which transport is tried first, or alone.
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) transport: Transport,
    /// A tool to hide, by its name, in which `*` stands for any text; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ignore_tool: Vec<String>,
    /// How long the server may take to begin an answer.
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) timeout: Duration,
    /// How long a login may take; five minutes by default.
    #[arg(long, value_parser = duration)]
    pub(crate) auth_timeout: Option<Duration>,
    /// What to ask for, separated by blanks, instead of what the server suggests.
    #[arg(long)]
    pub(crate) scope: Option<Scope>,
    /// Which of several accounts at that server.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// The id of a client that you have registered with the authorization server; its secret, if it
    /// has one, is in `MCP_OAUTH_CLIENT_SECRET`.
    #[arg(long, value_name = "ID", conflicts_with = "client_metadata_url")]
    pub(crate) client_id: Option<String>,
    /// The https URL of a client metadata document, which is a client id where servers take one.
    #[arg(long, value_name = "URL")]
    pub(crate) client_metadata_url: Option<Url>,
    /// The port on this machine that the browser comes back to.
    #[arg(
        id = "port",
        long = "callback-port",
        visible_alias = "port",
        value_name = "PORT"
    )]
    pub(crate) callback_port: Option<u16>,
    /// The host in the redirect URI, for a client that was registered with `localhost`.
    #[arg(
        id = "redirect_uri",
        long = "callback-host",
        value_name = "HOST",
        requires = "port"
    )]
    pub(crate) callback_host: Option<String>,
    /// Open no browser: say the URL only.
    #[arg(long)]
    pub(crate) no_browser: bool,
    #[command(flatten)]
    pub(crate) way: WayFlags,
    #[command(flatten)]
    pub(crate) idp: IdpFlags,
    #[command(flatten)]
    pub(crate) quirks: QuirkFlags,
    /// Follow the rules of 2025-03-26 if the server does not say who issues its tokens.
    #[arg(long)]
    pub(crate) legacy: bool,
}

impl Proxy {
    /// The login that it does by the way.
    pub(crate) fn login(&self) -> Login {
        let redirect = self.callback_host.as_deref().zip(self.callback_port);
        let redirect = redirect.map(|(host, port)| format!("http://{host}:{port}/callback"));
        let redirect = redirect.and_then(|uri| uri.parse().ok());
        Login {
            name: self.server.clone(),
            url: None,
            scope: self.scope.clone(),
            account: self.account.clone(),
            client_id: self.client_id.clone(),
            client_secret_stdin: false,
            client_metadata_url: self.client_metadata_url.clone(),
            port: self.callback_port.filter(|_| redirect.is_none()),
            redirect_uri: redirect,
            no_browser: self.no_browser,
            way: self.way.clone(),
            idp: self.idp.clone(),
            quirks: self.quirks.clone(),
            timeout: self.auth_timeout,
            force: false,
            legacy: self.legacy,
        }
    }
}
