//! `install`: the entry that makes an application use a server, in the file of the application.

use mcp_client_oauth::store::LoginKey;
use mcp_oauth_store::{EncryptedFileStore, KeyKind};
use serde_json::Value;

use crate::{
    apps::{
        Entry, EntryFile, Request, entry, file_of, is_own, merged, printed, server_of, stable_path,
    },
    args::{App, Install, TargetArgs, Via},
    config::{ForwardedEnv, Password},
    context::{Context, Target, allowed_url, is_url},
    error::{Exit, Failure},
    servers::name_for,
    shell::quoted,
};

pub(super) async fn run(context: &Context, typed: &Install) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: None,
    })?;
    check_proofs(typed, &target)?;
    let (name, entry) = requested(context, typed, &target)?;
    let path = match &typed.file {
        _ if typed.print => None,
        Some(path) => Some(path.clone()),
        None => file_of(typed.app)?,
    };
    let Some(path) = path else {
        let (text, document) = printed(typed.app, &name, &entry.value())?;
        context.ui.result(&document, || text.trim_end().to_owned());
        return Ok(Exit::Done);
    };
    let mut file = EntryFile::open(typed.app, &name, &path)?;
    let new = merged(file.existing(), &entry);
    let path = path.display();
    let done = match file.existing() {
        Some(there) if *there == new => (
            "unchanged",
            format!("{name} is in {path} already: nothing to change"),
        ),
        Some(there) if !is_own(there) && !typed.overwrite => {
            let message = format!(
                "{path} has another `{name}`, which does not run mcp-oauth (left unchanged)"
            );
            let hint = "to replace it, run the same command with --overwrite";
            return Err(Failure::other("conflict", message, Some(hint.to_owned())));
        }
        Some(there) if is_of_another_url(there, typed) => {
            let message =
                format!("{path} has `{name}` for another URL of that host (left unchanged)");
            let hint = format!(
                "give this one a name: mcp-oauth login NAME {}; to replace the other, run the same \
                 command with --overwrite",
                quoted(&typed.server)
            );
            return Err(Failure::other("conflict", message, Some(hint)));
        }
        Some(_) => ("updated", format!("Updated {name} in {path}")),
        None => ("added", format!("Added {name} to {path}")),
    };
    let is_change = done.0 != "unchanged";
    if is_change {
        file.set(&new)?;
    }
    file.finish(&context.ui, (done.0, &done.1), typed.dry_run)?;
    if !typed.dry_run {
        say_next_steps(context, typed, &target, is_change).await;
    }
    Ok(Exit::Done)
}

/// Returns whether the entry has its name only because the two URLs have the same host.
fn is_of_another_url(there: &Value, typed: &Install) -> bool {
    let is_other = |server: &str| is_url(server) && server != typed.server;
    is_url(&typed.server) && !typed.overwrite && server_of(there).is_some_and(is_other)
}

/// Returns the name and the entry that are requested.
fn requested(
    context: &Context,
    typed: &Install,
    target: &Target,
) -> Result<(String, Entry), Failure> {
    let forwarded = forwarded(context, typed)?;
    let name = typed.app.server_name(&if is_url(&typed.server) {
        name_for(target.key.server())
    } else {
        typed.server.clone()
    });
    let entry = entry(&Request {
        app: typed.app,
        via: typed.via,
        name: &name,
        url: target.key.server(),
        program: stable_path()?,
        arguments: arguments(typed, &forwarded.arguments),
        forwarded,
    })?;
    warn_about_variables(context, typed.app, forwarded);
    Ok((name, entry))
}

/// Returns the configuration to forward. It fails if a part of it cannot be written, or if the proxy would
/// refuse the URL.
fn forwarded<'a>(context: &'a Context, typed: &Install) -> Result<&'a ForwardedEnv, Failure> {
    // A name was allowed when it was made.
    if is_url(&typed.server) {
        allowed_url(&typed.server, typed.allow_http, &context.servers()?)?;
    }
    let forwarded = &context.config.forwarded;
    match forwarded.lost.first() {
        None => Ok(forwarded),
        Some(flag) => Err(Failure::usage(
            format!("cannot write the value of {flag}: it is not UTF-8"),
            "rename the file or directory",
        )),
    }
}

/// A helper for headers runs once for many requests, and a DPoP proof is for one (RFC 9449 §4.2).
fn check_proofs(typed: &Install, target: &Target) -> Result<(), Failure> {
    let is_bound = target.server.as_ref().is_some_and(|server| server.dpop);
    if typed.via == Via::Headers && is_bound {
        return Err(Failure::usage(
            format!(
                "the tokens of {} are bound to a key (DPoP), and need a proof for each request",
                typed.server
            ),
            "leave out --via headers",
        ));
    }
    Ok(())
}

/// Returns the arguments after `proxy` or `headers`: with the settings of this command, the program uses the
/// same data.
fn arguments(typed: &Install, forwarded: &[String]) -> Vec<String> {
    let allowed = typed.allow_http.then(|| "--allow-http".to_owned());
    let own = std::iter::once(typed.server.clone()).chain(allowed);
    own.chain(forwarded.iter().cloned()).collect()
}

/// Warns about secrets that the entry does not have, if the application has to provide them.
fn warn_about_variables(context: &Context, app: App, forwarded: &ForwardedEnv) {
    if forwarded.variables.is_empty() || app.names_variables() {
        return;
    }
    let variables = forwarded.variables.join(", ");
    if app == App::ClaudeDesktop {
        context.ui.warn(format_args!(
            "Claude Desktop passes no such variables to a server: {variables}; for a password, use \
             --password-file FILE"
        ));
        return;
    }
    context.ui.warn(format_args!(
        "the application needs these variables in its environment, as they are set here: {variables}"
    ));
}

async fn say_next_steps(context: &Context, typed: &Install, target: &Target, is_change: bool) {
    let title = typed.app.title();
    if is_change {
        match typed.app.check_command() {
            Some(check) => context.ui.progress(format_args!(
                "restart {title} if it runs; to check: {check}"
            )),
            None => context.ui.progress(format_args!("restart {title}")),
        }
    }
    if is_logged_in(context, &target.key).await == Some(false) {
        let login = format!("mcp-oauth login {}", quoted(&typed.server));
        context.ui.progress(format_args!(
            "not logged in yet: the first use starts the login, or: {login}"
        ));
    }
}

/// Returns whether there is a login; none if that cannot be read without a question to the user.
async fn is_logged_in(context: &Context, key: &LoginKey) -> Option<bool> {
    if matches!(context.config.password, Password::Ask) && Context::is_interactive() {
        let directory = context.config.default_directory.as_deref();
        let kind = directory.and_then(|directory| EncryptedFileStore::key_kind(directory).ok()?);
        if kind == Some(KeyKind::Password) {
            return None;
        }
    }
    let store = context.store().await.ok()?;
    let loaded = store.load(key).await.ok()?;
    Some(loaded.is_some())
}
