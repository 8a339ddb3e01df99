//! `config`: the entry that makes an application run `proxy`, and the file of the application.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{
    args::{App, AppConfig, TargetArgs},
    config::ForwardedEnv,
    context::{Context, allowed_url, is_url},
    error::{Exit, Failure},
    servers::name_for,
};

mod file;
mod json_text;
mod network_keys;

impl App {
    /// Returns the member of the file that has the servers.
    fn member(self) -> &'static str {
        match self {
            Self::ClaudeDesktop | Self::Cursor | Self::Windsurf | Self::Gemini => "mcpServers",
            Self::Vscode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
        }
    }

    /// Returns the path of the file, in the home or the configuration directory of this system.
    fn file(self, home: &Path, config: &Path) -> PathBuf {
        match self {
            Self::ClaudeDesktop => config.join("Claude/claude_desktop_config.json"),
            Self::Cursor => home.join(".cursor/mcp.json"),
            Self::Vscode => config.join("Code/User/mcp.json"),
            Self::Windsurf => home.join(".codeium/windsurf/mcp_config.json"),
            Self::Zed if cfg!(windows) => config.join("Zed/settings.json"),
            Self::Zed => home.join(".config/zed/settings.json"),
            Self::Codex => home.join(".codex/config.toml"),
            Self::Gemini => home.join(".gemini/settings.json"),
        }
    }

    /// Returns a name for a server that the application accepts.
    fn name(self, name: String) -> String {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        match self {
            Self::Codex => name.replace(|c| !is_allowed(c), "-"),
            _ => name,
        }
    }

    fn entry(self, command: &str, arguments: &[String], forwarded: &ForwardedEnv) -> Value {
        let mut entry = match self {
            Self::Vscode => json!({ "type": "stdio", "command": command, "args": arguments }),
            Self::Zed => json!({ "source": "custom", "command": command, "args": arguments }),
            _ => json!({ "command": command, "args": arguments }),
        };
        let environment = forwarded.environment.iter();
        let environment: Map<String, Value> = environment
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        if !environment.is_empty() {
            entry["env"] = Value::Object(environment);
        }
        if self.forwards_variables() && !forwarded.variables.is_empty() {
            entry["env_vars"] = json!(forwarded.variables);
        }
        entry
    }

    /// Returns whether an entry can name variables of the application's environment to forward.
    fn forwards_variables(self) -> bool {
        self == Self::Codex
    }
}

pub(super) fn run(context: &Context, typed: &AppConfig) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: None,
    })?;
    let forwarded = forwarded(context, typed)?;
    let name = if is_url(&typed.server) {
        name_for(target.key.server())
    } else {
        typed.server.clone()
    };
    let (app, member) = (typed.r#for, typed.r#for.member());
    let name = app.name(name);
    let entry = app.entry(
        &own_path()?,
        &arguments(typed, &forwarded.arguments),
        forwarded,
    );
    if !forwarded.variables.is_empty() && !app.forwards_variables() {
        let variables = forwarded.variables.join(", ");
        context.ui.warn(format_args!(
            "the application needs these variables in its environment, as they are set here: {variables}"
        ));
    }
    if !typed.write {
        let document = json!({ member: { &name: entry } });
        let text = if app == App::Codex {
            file::with_table("", Path::new("config.toml"), member, &name, &entry)?
        } else {
            format!("{document:#}")
        };
        context.ui.result(&document, || text.trim_end().to_owned());
        return Ok(Exit::Done);
    }
    let path = match &typed.file {
        Some(path) => path.clone(),
        None => default_file(app)?,
    };
    let backup = file::change(&path, |before| {
        if app == App::Codex {
            file::with_table(before, &path, member, &name, &entry)
        } else {
            json_text::with_member(before, member, &name, &entry).map_err(|why| {
                let message = format!("cannot change {} (left unchanged): {why}", path.display());
                let hint = "to print the entry, run the same command without --write";
                Failure::other("file", message, Some(hint.to_owned()))
            })
        }
    })?;
    let document = json!({ "file": path, "backup": backup, "name": name });
    context.ui.result(&document, || {
        let copy = backup.map(|backup| format!("; the old file is {}", backup.display()));
        format!(
            "{name} is in {}{}",
            path.display(),
            copy.unwrap_or_default()
        )
    });
    context.ui.progress("restart the application");
    Ok(Exit::Done)
}

/// Returns the configuration to forward. It fails if a part of it cannot be written, or if the proxy would
/// refuse the URL.
fn forwarded<'a>(context: &'a Context, typed: &AppConfig) -> Result<&'a ForwardedEnv, Failure> {
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

/// Returns the path of this command: an application that is started from a desktop may have no `PATH`.
fn own_path() -> Result<String, Failure> {
    let own = std::env::current_exe().ok();
    let own = own.and_then(|path| path.to_str().map(str::to_owned));
    own.ok_or_else(|| Failure::other("config", "cannot find the path of this command", None))
}

/// Returns the arguments of the proxy: with the settings of this command, it uses the same data.
fn arguments(typed: &AppConfig, forwarded: &[String]) -> Vec<String> {
    let own = ["proxy", &typed.server].map(str::to_owned);
    let allowed = typed.allow_http.then(|| "--allow-http".to_owned());
    let arguments = own.into_iter().chain(allowed);
    arguments.chain(forwarded.iter().cloned()).collect()
}

fn default_file(app: App) -> Result<PathBuf, Failure> {
    use etcetera::BaseStrategy as _;
    let unknown = || {
        let hint = Some("give the file: --file FILE".to_owned());
        Failure::other("config", "no home directory found", hint)
    };
    let base = etcetera::base_strategy::choose_native_strategy().map_err(|_| unknown())?;
    // macOS applications keep their files in `Library/Application Support`, which etcetera has for
    // data: what it has for configurations is `Library/Preferences`.
    let config = if cfg!(target_os = "macos") {
        base.data_dir()
    } else {
        base.config_dir()
    };
    Ok(app.file(base.home_dir(), &config))
}
