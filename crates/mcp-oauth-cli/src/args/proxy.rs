//! The arguments of `proxy`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;

use super::{
    duration::duration, grant_args::GrantFlags, idp::IdpFlags, login::Login,
    login_args::LoginFlags, quirks::QuirkFlags,
};

/// `proxy`.
#[derive(Args, Debug)]
pub(crate) struct Proxy {
    /// The URL of the MCP server, or its name (see `list`).
    #[arg(value_name = "URL|NAME")]
    pub(crate) server: String,
    /// Add a header to each request, as in `Name: value`.
    ///
    /// May be given several times. `${NAME}` is replaced by a variable of the environment. With
    /// `Authorization` no login is needed.
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,
    /// Listen for HTTP on this machine instead, and add the token to requests.
    ///
    /// Port 0 is any free port. A client has to send the token in `MCP_OAUTH_PROXY_TOKEN`, if that is
    /// set.
    #[arg(
        long,
        value_name = "127.0.0.1:PORT",
        value_parser = loopback,
        conflicts_with_all = ["ignore_tool", "transport"]
    )]
    pub(crate) listen: Option<SocketAddr>,
    /// Select the transport to try first, or the only one.
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) transport: Transport,
    /// Hide the tools with this name; `*` matches any text.
    ///
    /// May be given several times.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) ignore_tool: Vec<String>,
    /// Wait at most this long for the server to begin a response.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    pub(crate) timeout: Duration,
    /// Forward server messages up to this size, such as `16M`.
    ///
    /// A larger message fails its call; about this much memory is used until then.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "64M")]
    pub(crate) max_response: usize,
    /// Wait at most this long for a login.
    ///
    /// Without this option, five minutes.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) auth_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) flags: LoginFlags,
    /// Redirect the browser to this port on this machine.
    #[arg(
        id = "port",
        long = "callback-port",
        visible_alias = "port",
        value_name = "PORT"
    )]
    pub(crate) callback_port: Option<u16>,
    /// Use this host in the redirect URI, such as `localhost`.
    #[arg(
        id = "redirect_uri",
        long = "callback-host",
        value_name = "HOST",
        requires = "port"
    )]
    pub(crate) callback_host: Option<String>,
    #[command(flatten)]
    pub(crate) grant: GrantFlags,
    #[command(flatten)]
    pub(crate) idp: IdpFlags,
    #[command(flatten)]
    pub(crate) quirks: QuirkFlags,
}

/// The transports to try, and their order.
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

/// Parses a size in bytes, or in KiB, MiB or GiB with `K`, `M` or `G`.
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
        .ok_or_else(|| "expected a size such as 64M, 512K or 1000000".to_owned())
}

/// Parses an address of this machine. Others on the network must not be able to use the token.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "expected an address such as 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(
            "expected a loopback address, 127.0.0.1 or [::1]: other machines could use the token"
                .to_owned(),
        )
    }
}

impl Proxy {
    /// Returns the arguments of the login that the proxy runs if one is needed.
    pub(crate) fn login(&self) -> Login {
        let redirect = self.callback_host.as_deref().zip(self.callback_port);
        let redirect = redirect.map(|(host, port)| format!("http://{host}:{port}/callback"));
        let redirect = redirect.and_then(|uri| uri.parse().ok());
        Login {
            name: Some(self.server.clone()),
            url: None,
            flags: self.flags.clone(),
            scopes: Vec::new(),
            client_secret_stdin: false,
            port: self.callback_port.filter(|_| redirect.is_none()),
            redirect_uri: redirect,
            grant: self.grant.clone(),
            idp: self.idp.clone(),
            quirks: self.quirks.clone(),
            timeout: self.auth_timeout,
            force: false,
            no_wait: false,
            complete: false,
        }
    }
}
