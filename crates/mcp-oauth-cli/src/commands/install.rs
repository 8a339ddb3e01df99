//! `install`: the entry that makes an application use a server, in the file of the application.

use mcp_client_oauth::store::LoginKey;
use serde_json::{Value, json};

use crate::{
    apps::{Edit, EditError, Request, Slot, entry, file_of, is_own, merged, stable_path},
    args::{App, Install, TargetArgs, Via},
    config::{ForwardedEnv, Password},
    context::{Context, Target, allowed_url, is_url},
    error::{Exit, Failure},
    servers::name_for,
    shell::quoted,
};

/// What happens to the file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Action {
    Added,
    Updated,
    Unchanged,
}

pub(super) async fn run(context: &Context, typed: &Install) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: None,
    })?;
    let forwarded = forwarded(context, typed)?;
    check_proofs(typed, &target)?;
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
    let slot = Slot {
        member: typed.app.member(),
        name: &name,
    };
    warn_about_variables(context, typed.app, forwarded);
    let usual = || file_of(typed.app);
    let path = match &typed.file {
        Some(path) => Some(path.clone()),
        None => usual()?,
    };
    let Some(path) = path.filter(|_| !typed.print) else {
        return print(context, typed.app, slot, &entry.value());
    };
    let unchanged = |reason: EditError| {
        let message = format!(
            "cannot change {} (left unchanged): {reason}",
            path.display()
        );
        let hint = "to print the entry, run the same command with --print";
        Failure::other("file", message, Some(hint.to_owned()))
    };
    let format = typed.app.format();
    let mut edit = Edit::read(&path)?;
    let existing = format.find(edit.text(), slot).map_err(unchanged)?;
    if existing.as_ref().is_some_and(|there| !is_own(there)) && !typed.overwrite {
        return Err(Failure::other(
            "conflict",
            format!(
                "{} has another `{name}`, which does not run mcp-oauth (left unchanged)",
                path.display()
            ),
            Some("to replace it, run the same command with --overwrite".to_owned()),
        ));
    }
    let new = merged(existing.as_ref(), &entry);
    let action = match &existing {
        Some(there) if *there == new => Action::Unchanged,
        Some(_) => Action::Updated,
        None => Action::Added,
    };
    if action != Action::Unchanged {
        let text = format.set(edit.text(), slot, &new).map_err(unchanged)?;
        edit.set(text);
    }
    let shown = path.display();
    if typed.dry_run {
        let diff = edit.diff();
        let document = json!({
            "app": typed.app.title(), "name": name, "file": path, "action": action.term(),
            "diff": diff, "dry_run": true,
        });
        context.ui.result(&document, || match action {
            Action::Unchanged => action.sentence(&name, &shown),
            _ => diff.trim_end().to_owned(),
        });
        return Ok(Exit::Done);
    }
    let backup = match action {
        Action::Unchanged => None,
        _ => edit.write()?,
    };
    let document = json!({
        "app": typed.app.title(), "name": name, "file": path, "backup": backup,
        "action": action.term(),
    });
    context.ui.result(&document, || {
        let copy = backup.map(|backup| format!("; the old file is {}", backup.display()));
        format!(
            "{}{}",
            action.sentence(&name, &shown),
            copy.unwrap_or_default()
        )
    });
    say_next_steps(context, typed, &target, action).await;
    Ok(Exit::Done)
}

impl Action {
    /// Returns the action for programs.
    fn term(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }

    fn sentence(self, name: &str, file: &impl std::fmt::Display) -> String {
        match self {
            Self::Added => format!("Added {name} to {file}"),
            Self::Updated => format!("Updated {name} in {file}"),
            Self::Unchanged => format!("{name} is in {file} already: nothing to change"),
        }
    }
}

fn print(context: &Context, app: App, slot: Slot<'_>, entry: &Value) -> Result<Exit, Failure> {
    let document = json!({ slot.member: { slot.name: entry } });
    let text = app.format().set("", slot, entry);
    let text = text.map_err(|error| Failure::other("install", error.to_string(), None))?;
    context.ui.result(&document, || text.trim_end().to_owned());
    Ok(Exit::Done)
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

async fn say_next_steps(context: &Context, typed: &Install, target: &Target, action: Action) {
    let title = typed.app.title();
    if action != Action::Unchanged {
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
        let kind = directory.and_then(|directory| {
            mcp_client_oauth::store::EncryptedFileStore::key_kind(directory).ok()?
        });
        if kind == Some(mcp_client_oauth::store::KeyKind::Password) {
            return None;
        }
    }
    let store = context.store().await.ok()?;
    let loaded = store.load(key).await.ok()?;
    Some(loaded.is_some())
}
