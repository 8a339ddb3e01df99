//! `proxy`: a server on stdio that forwards to the real server.

use std::{
    fs::DirBuilder,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_client_oauth::store::LoginKey;
use tokio::net::TcpListener;

use crate::{
    args::{self, Proxy},
    config::Config,
    context::Context,
    error::{Exit, Failure},
    login_flow::resolve_with_options,
    proxy::{
        Filter, Limits, Options, Transport,
        connection::{ConnectionConfig, ServerConnection},
        listen::Endpoint,
        run as speak,
    },
};

pub(super) async fn run(context: &Context, typed: Proxy) -> Result<Exit, Failure> {
    if context.ui.is_json() {
        return Err(Failure::usage(
            "proxy cannot print JSON: stdout has the MCP messages",
            "leave out --json",
        ));
    }
    let headers = typed.headers.iter().map(|text| header(text));
    let headers = headers.collect::<Result<HeaderMap, _>>()?;
    let store = context.ready_store().await?;
    let login = typed.login();
    let (server, options) = resolve_with_options(context, &login, &store).await?;
    let key = server.key();
    let directory = context
        .config
        .proxy_directory()
        .and_then(|directory| create(&directory));
    let file = |extension| {
        let directory = directory.as_ref()?;
        Some(directory.join(format!("{}.{extension}", file_name(&key))))
    };
    let capability_file = file("json");
    let subject = context.subject.clone().knowing(&context.servers()?);
    let config = ConnectionConfig {
        platform: context.platform.clone(),
        lock: file("lock"),
        store,
        options,
        ui: context.ui.clone(),
        browser: context.config.has_browser && !typed.flags.no_browser,
        no_browser: typed.flags.no_browser,
        headers,
        subject: subject.clone(),
        key,
    };
    let options = Options {
        transport: transport(typed.transport),
        limits: Limits {
            timeout: typed.timeout,
            size: typed.max_response,
        },
        filter: Filter::new(typed.ignore_tool),
        capability_file,
        subject,
    };
    let connection = ServerConnection::open(config).await?;
    match typed.listen {
        Some(address) => listen(context, connection, address, options).await?,
        None => speak(connection, options).await,
    }
    Ok(Exit::Done)
}

async fn listen(
    context: &Context,
    connection: ServerConnection,
    address: SocketAddr,
    options: Options,
) -> Result<(), Failure> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        Ok((listener.local_addr()?, listener))
    };
    let (address, listener) = bound.await.map_err(|error: std::io::Error| {
        let hint = Some("choose another port, or 0 for any free one".to_owned());
        Failure::other(
            "listen",
            format!("cannot listen on {address}: {error}"),
            hint,
        )
    })?;
    let path = connection.url().path().to_owned();
    context
        .ui
        .say(format_args!("listening on http://{address}{path}"));
    let bearer = context.config.proxy_token.clone();
    let (timeout, subject) = (options.limits.timeout, options.subject);
    Endpoint::new(connection, address, bearer, timeout, subject)
        .serve(listener)
        .await;
    Ok(())
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

/// Creates a directory for its owner only; none if it cannot be created: then nothing is stored.
fn create(directory: &Path) -> Option<PathBuf> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).ok()?;
    Some(directory.to_owned())
}

/// Returns a file name for a login: its host, for users, and a hash of its URL and account (FNV-1a).
fn file_name(key: &LoginKey) -> String {
    let host = key.server().as_url().host_str().unwrap_or_default();
    let host = host.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "_");
    let whole = format!(
        "{} {}",
        key.server().as_str(),
        key.account().unwrap_or_default()
    );
    let number = whole
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |number, byte| {
            (number ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{host}-{number:016x}")
}
