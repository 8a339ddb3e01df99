//! `proxy`: a server on stdio that forwards to the real server.

use std::{net::SocketAddr, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_client_oauth::TokenStore;
use mcp_oauth_proxy::{Proxy, Transport};
use tokio::net::TcpListener;

use crate::{
    args::{self, Proxy as Typed},
    config::Config,
    context::Context,
    error::{Exit, Failure},
    login_flow::{options, resolve},
    terminal::Terminal,
};

mod host;

use host::{CommandHost, Display};

pub(super) async fn run(context: &Context, typed: Typed) -> Result<Exit, Failure> {
    if context.ui.is_json() {
        return Err(Failure::usage(
            "proxy cannot print JSON: stdout has the MCP messages",
            "leave out --json",
        ));
    }
    let headers = typed.headers.iter().map(|text| header(text));
    let headers = headers.collect::<Result<HeaderMap, _>>()?;
    let store = context.ready_store().await?;
    let proxy = build(context, &typed, headers, store).await?;
    match typed.listen {
        Some(address) => listen(context, proxy, address).await?,
        None => proxy.serve_stdio().await,
    }
    Ok(Exit::Done)
}

async fn build(
    context: &Context,
    typed: &Typed,
    headers: HeaderMap,
    store: TokenStore,
) -> Result<Proxy, Failure> {
    let login = typed.login();
    let (_, server) = resolve(&login, &context.servers()?)?;
    let options = options(context, &login, server, &store).await?;
    let browser = context.config.has_browser && !typed.flags.no_browser;
    let terminal = Arc::new(Terminal::new(context.ui.clone(), browser));
    let display = Arc::new(Display(Arc::clone(&terminal)));
    let client = context.client(store).with_interaction(display);
    let key = options.server.key();
    let host = CommandHost {
        options,
        ui: context.ui.clone(),
        terminal,
        browser,
        is_remote: context.config.is_remote || typed.flags.no_browser,
        subject: context.subject.clone().knowing(&context.servers()?),
    };
    let mut proxy = Proxy::builder(&client, key)
        .host(host)
        .headers(headers)
        .transport(transport(typed.transport))
        .timeout(typed.timeout)
        .max_response(typed.max_response)
        .hide_tools(typed.ignore_tool.clone())
        .server_info("mcp-oauth", env!("CARGO_PKG_VERSION"));
    if let Some(directory) = context.config.proxy_directory() {
        proxy = proxy.directory(directory);
    }
    if let Some(token) = context.config.proxy_token.clone() {
        proxy = proxy.bearer_token(token);
    }
    Ok(proxy.build().await?)
}

async fn listen(context: &Context, proxy: Proxy, address: SocketAddr) -> Result<(), Failure> {
    let cannot_listen = |address, error: &dyn std::fmt::Display| {
        let hint = Some("choose another port, or 0 for any free one".to_owned());
        let message = format!("cannot listen on {address}: {error}");
        Failure::other("listen", message, hint)
    };
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = bound
        .await
        .map_err(|error: std::io::Error| cannot_listen(address, &error))?;
    let path = proxy.url().path().to_owned();
    context
        .ui
        .say(format_args!("listening on http://{address}{path}"));
    let served = proxy.serve_http(listener).await;
    served.map_err(|error| cannot_listen(address, &error))
}

fn transport(typed: args::Transport) -> Transport {
    match typed {
        args::Transport::HttpFirst => Transport::HttpFirst,
        args::Transport::SseFirst => Transport::SseFirst,
        args::Transport::HttpOnly => Transport::HttpOnly,
        args::Transport::SseOnly => Transport::SseOnly,
    }
}

/// Parses `Name: value`. The value is marked as sensitive, so that it is never logged (CWE-532).
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let bad = || {
        Failure::usage(
            "a header must be `Name: value`",
            "use a header such as -H 'X-Team: blue'",
        )
    };
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
    let value = Config::with_variables(value.trim())?;
    let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((name, value))
}
