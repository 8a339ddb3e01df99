//! What is typed after `proxy`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use super::{
    app::App, duration::duration, grant_args::GrantFlags, idp::IdpFlags, login::Login,
    login_args::LoginFlags, quirks::QuirkFlags,
};

pub(super) const EXAMPLES: &str = "\
Examples:
  mcp-oauth proxy https://mcp.example.com/mcp       what an application runs instead of a server
  mcp-oauth proxy notes                             the server `notes`, with what `login` remembers
  mcp-oauth proxy notes --header 'X-Team: ${TEAM}'  `${NAME}` is replaced by the variable NAME
  mcp-oauth proxy notes --ignore-tool 'delete*'     tools that the application is not to see

Messages are on stdin and stdout, one a line; all else is on stderr. The application gets its
answers while nobody is logged in; the login goes on beside it, and a call says where. Proxies for
the same server share one login.";

pub(super) const CONFIG_EXAMPLES: &str = "\
Examples:
  mcp-oauth config notes --for claude-desktop           what to put into its file
  mcp-oauth config notes --for cursor --write           put it there; the old file is kept
  mcp-oauth config notes --for vscode --write --file .vscode/mcp.json";

/// `config`.
#[derive(Args, Debug)]
pub(crate) struct AppConfig {
    /// The name of a server (see `list`), or its URL.
    #[arg(value_name = "NAME|URL")]
    pub(crate) server: String,
    /// The application.
    #[arg(long = "for", value_enum, value_name = "APP")]
    pub(crate) r#for: App,
    /// As for `login`, for a URL that no name stands for.
    #[arg(long)]
    pub(crate) allow_http: bool,
    /// Put it into the file of the application, and keep the old one beside it.
    #[arg(long)]
    pub(crate) write: bool,
    /// Another file than the usual one.
    #[arg(long, value_name = "FILE", requires = "write")]
    pub(crate) file: Option<PathBuf>,
}

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
    /// Be an HTTP endpoint on this machine instead, which adds the token; 0 is any free port. A
    /// client has to bring the token in `MCP_OAUTH_PROXY_TOKEN`, if there is one.
    #[arg(
        long,
        value_name = "127.0.0.1:PORT",
        value_parser = loopback,
        conflicts_with_all = ["ignore_tool", "transport"]
    )]
    pub(crate) listen: Option<SocketAddr>,
    /// Which transport is tried first, or alone.
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) transport: Transport,
    /// A tool to hide, by its name, in which `*` stands for any text; may be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ignore_tool: Vec<String>,
    /// How long the server may take to begin an answer.
    #[arg(long, value_parser = duration, default_value = "5m")]
    pub(crate) timeout: Duration,
    /// The size of the largest message of the server that is passed on, such as `16M`, and about the
    /// memory that an endless one takes. A longer one fails its call.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_response: usize,
    /// How long a login may take; five minutes by default.
    #[arg(long, value_parser = duration)]
    pub(crate) auth_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) who: LoginFlags,
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
    #[command(flatten)]
    pub(crate) way: GrantFlags,
    #[command(flatten)]
    pub(crate) idp: IdpFlags,
    #[command(flatten)]
    pub(crate) quirks: QuirkFlags,
}

/// Which transports are tried, in which order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Streamable HTTP, else HTTP with SSE.
    #[default]
    HttpFirst,
    /// HTTP with SSE, else streamable HTTP.
    SseFirst,
    /// Streamable HTTP.
    HttpOnly,
    /// HTTP with SSE, as of 2024-11-05.
    SseOnly,
}

/// Reads a size in bytes, or in KiB, MiB or GiB with `K`, `M` or `G`.
fn size(text: &str) -> Result<usize, String> {
    let unit = |suffix| Some((text.strip_suffix(suffix)?, suffix));
    let shift = |suffix| match suffix {
        'K' => 10,
        'M' => 20,
        _ => 30,
    };
    let (number, shift) = ['K', 'M', 'G']
        .into_iter()
        .find_map(unit)
        .map_or((text, 0), |(number, suffix)| (number, shift(suffix)));
    let number: Option<usize> = number.parse().ok();
    let size = number.and_then(|number| number.checked_mul(1 << shift));
    size.filter(|size| *size > 0)
        .ok_or_else(|| "a size looks like 64M, 512K or 1000000".to_owned())
}

/// Nobody else on the network is to use the token.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "it looks like 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("only this machine may use the token: 127.0.0.1 or [::1]".to_owned())
    }
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
            who: self.who.clone(),
            scopes: Vec::new(),
            client_secret_stdin: false,
            port: self.callback_port.filter(|_| redirect.is_none()),
            redirect_uri: redirect,
            way: self.way.clone(),
            idp: self.idp.clone(),
            quirks: self.quirks.clone(),
            timeout: self.auth_timeout,
            force: false,
        }
    }
}
