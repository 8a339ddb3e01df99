//! `proxy`: a server on stdio, whose work is done by the real one.

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
    login_flow::prepared,
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
            "stdout is for the messages of MCP",
            "leave out --json",
        ));
    }
    let headers = typed.headers.iter().map(|text| header(text));
    let headers = headers.collect::<Result<HeaderMap, _>>()?;
    let store = context.ready_store().await?;
    let login = typed.login();
    let (server, options) = prepared(context, &login, &store).await?;
    let key = server.key();
    let remembered = context
        .config
        .remembered()
        .and_then(|directory| made(&directory));
    let file = |extension| {
        let directory = remembered.as_ref()?;
        Some(directory.join(format!("{}.{extension}", file_name(&key))))
    };
    let memory = file("json");
    let subject = context.subject.clone().knowing(&context.servers()?);
    let terms = ConnectionConfig {
        platform: context.platform.clone(),
        lock: file("lock"),
        store,
        options,
        ui: context.ui.clone(),
        browser: context.config.has_browser && !typed.who.no_browser,
        no_browser: typed.who.no_browser,
        headers,
        subject: subject.clone(),
        key,
    };
    let options = Options {
        transport: transport(typed.transport),
        limits: Limits {
            patience: typed.timeout,
            size: typed.max_response,
        },
        filter: Filter::new(typed.ignore_tool),
        memory,
        subject,
    };
    let door = ServerConnection::open(terms).await?;
    match typed.listen {
        Some(address) => listen(context, door, address, options).await?,
        None => speak(door, options).await,
    }
    Ok(Exit::Done)
}

async fn listen(
    context: &Context,
    door: ServerConnection,
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
            format!("cannot listen at {address}: {error}"),
            hint,
        )
    })?;
    let path = door.url().path().to_owned();
    context
        .ui
        .say(format_args!("listening at http://{address}{path}"));
    let bearer = context.config.proxy_token.clone();
    let (patience, subject) = (options.limits.patience, options.subject);
    Endpoint::new(door, address, bearer, patience, subject)
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

/// `Name: value`, whose value is never shown (H168).
fn header(text: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let bad = || Failure::usage("a header looks like `Name: value`", "-H 'X-Team: blue'");
    let (name, value) = text.split_once(':').ok_or_else(bad)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad())?;
    let value = Config::with_variables(value.trim())?;
    let mut value = HeaderValue::from_str(&value).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// For its owner only; none where it cannot be made: then nothing is remembered.
fn made(directory: &Path) -> Option<PathBuf> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory).ok()?;
    Some(directory.to_owned())
}

/// Returns a name for what belongs to a login: its host, for people, and a number, for the rest (FNV-1a).
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
