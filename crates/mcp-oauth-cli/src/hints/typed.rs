//! The options that were typed, for a command that repeats them.

use std::{fmt, path::PathBuf};

use super::proposal::Flag;
use crate::{
    args::{Command, Global, Login},
    assertion::Source,
};

/// The command that removes a login from this machine only.
pub(super) const LOCAL_LOGOUT: &str = "logout --local";

/// Returns the command, if it takes only a server and an account; or `login`.
pub(super) fn verb(command: &Command) -> Option<&'static str> {
    match command {
        Command::Login(_) => Some("login"),
        Command::Show(_) => Some("show"),
        Command::Token(_) => Some("token"),
        Command::Headers(_) => Some("headers"),
        Command::Test(_) => Some("test"),
        Command::Tools(_) => Some("tools"),
        Command::Refresh(_) => Some("refresh"),
        Command::Logout(logout) if !logout.local => Some("logout"),
        Command::Logout(_) | Command::Clear(_) => Some(LOCAL_LOGOUT),
        _ => None,
    }
}

pub(super) fn flags<const N: usize>(given: [(&'static str, bool); N]) -> Vec<Flag> {
    let given = given.into_iter().filter(|(_, is_given)| *is_given);
    given.map(|(name, _)| Flag { name, value: None }).collect()
}

fn valued<const N: usize>(given: [(&'static str, Option<String>); N]) -> Vec<Flag> {
    let given = given.into_iter();
    given
        .filter_map(|(name, value)| Some(Flag::valued(name, value?)))
        .collect()
}

/// Returns the options of `login` that were typed.
pub(super) fn options(login: &Login) -> Vec<Flag> {
    let text = |value: &dyn fmt::Display| value.to_string();
    let path = |path: &PathBuf| path.display().to_string();
    let (common, grant, idp, quirks) = (&login.flags, &login.grant, &login.idp, &login.quirks);
    let mut all = valued([
        ("--scope", login.scope().map(|scope| text(&scope))),
        ("--account", common.account.clone()),
        ("--client-id", common.client_id.clone()),
        (
            "--client-metadata-url",
            common.client_metadata_url.as_ref().map(|url| text(url)),
        ),
        ("--port", login.port.as_ref().map(|port| text(port))),
        (
            "--redirect-uri",
            login.redirect_uri.as_ref().map(|uri| text(uri)),
        ),
        (
            "--timeout",
            login.timeout.map(|timeout| {
                humantime::format_duration(timeout)
                    .to_string()
                    .replace(' ', "")
            }),
        ),
        (
            "--workload-token",
            grant.workload_token.as_ref().map(Source::shown),
        ),
        ("--private-key", grant.private_key.as_ref().map(path)),
        ("--idp", idp.idp.clone()),
        (
            "--idp-token-endpoint",
            idp.idp_token_endpoint.as_ref().map(|url| text(url)),
        ),
        ("--idp-client-id", idp.idp_client_id.clone()),
        ("--idp-private-key", idp.idp_private_key.as_ref().map(path)),
        ("--id-token", idp.id_token.as_ref().map(Source::shown)),
        (
            "--idp-refresh-token",
            idp.idp_refresh_token.as_ref().map(Source::shown),
        ),
        ("--resource", quirks.resource.clone()),
        ("--login-hint", quirks.login_hint.clone()),
    ]);
    for (name, value) in &quirks.authorize_param {
        all.push(Flag::valued("--authorize-param", format!("{name}={value}")));
    }
    for issuer in &quirks.accept_issuer {
        all.push(Flag::valued("--accept-issuer", issuer.clone()));
    }
    all.extend(switches(login));
    all
}

fn switches(login: &Login) -> Vec<Flag> {
    let (common, grant, quirks) = (&login.flags, &login.grant, &login.quirks);
    flags([
        ("--client-secret-stdin", login.client_secret_stdin),
        ("--no-browser", common.no_browser),
        ("--legacy", common.legacy),
        ("--allow-http", common.allow_http),
        ("--force", login.force),
        // A login that was begun so is begun so again.
        ("--no-wait", login.no_wait || login.complete),
        ("--device", grant.device),
        ("--client-credentials", grant.client_credentials),
        ("--dpop", grant.dpop),
        ("--reuse-login", grant.reuse_login),
        ("--no-resource", quirks.no_resource),
        ("--scope-on-refresh", quirks.scope_on_refresh),
        ("--form-encoded-responses", quirks.form_encoded_responses),
        ("--assume-pkce", quirks.assume_pkce),
        ("--assume-bearer", quirks.assume_bearer),
    ])
}

/// Returns the global options that were typed.
pub(super) fn global(typed: &Global) -> Vec<Flag> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    valued([
        ("--store", typed.store.clone()),
        ("--data-dir", path(&typed.data_dir)),
        ("--password-file", path(&typed.password_file)),
        ("--ca-cert", path(&typed.network.ca_cert)),
        ("--client-cert", path(&typed.network.client_cert)),
        ("--client-key", path(&typed.network.client_key)),
    ])
}
