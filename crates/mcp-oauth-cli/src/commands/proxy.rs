//! `proxy`: a server on stdio, whose work is done by the real one.

use std::{
    fs::DirBuilder,
    path::{Path, PathBuf},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_client_oauth::store::RecordKey;

use super::{Context, login::prepared};
use crate::{
    args::Proxy,
    config::Config,
    exit::{Exit, Failure},
    proxy::{
        Filter, Options,
        door::{Door, Terms},
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
    let terms = Terms {
        platform: context.platform.clone(),
        lock: file("lock"),
        store,
        options,
        ui: context.ui.clone(),
        browser: context.config.has_browser && !typed.no_browser,
        no_browser: typed.no_browser,
        headers,
        key,
    };
    let options = Options {
        transport: typed.transport,
        patience: typed.timeout,
        filter: Filter::new(typed.ignore_tool),
        memory,
        subject: typed.server,
    };
    speak(Door::open(terms).await?, options).await;
    Ok(Exit::Done)
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

/// A name for what belongs to a login: its host, for people, and a number, for the rest (FNV-1a).
fn file_name(key: &RecordKey) -> String {
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
