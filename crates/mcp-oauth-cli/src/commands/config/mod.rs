//! `config`: what an application has to know to run `proxy` as its server, and the file where.

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
    /// Returns the member of its file that has the servers.
    fn member(self) -> &'static str {
        match self {
            Self::ClaudeDesktop | Self::Cursor | Self::Windsurf | Self::Gemini => "mcpServers",
            Self::Vscode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
        }
    }

    /// Returns where its file is, in the home and in the directory of configurations of this system.
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

    /// Returns a name for a server that it takes.
    fn name(self, name: String) -> String {
        let is_taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        match self {
            Self::Codex => name.replace(|c| !is_taken(c), "-"),
            _ => name,
        }
    }

    fn entry(self, command: &str, arguments: &[String], carried: &ForwardedEnv) -> Value {
        let mut entry = match self {
            Self::Vscode => json!({ "type": "stdio", "command": command, "args": arguments }),
            Self::Zed => json!({ "source": "custom", "command": command, "args": arguments }),
            _ => json!({ "command": command, "args": arguments }),
        };
        let environment = carried.environment.iter();
        let environment: Map<String, Value> = environment
            .map(|(name, value)| ((*name).to_owned(), json!(value)))
            .collect();
        if !environment.is_empty() {
            entry["env"] = Value::Object(environment);
        }
        if self.passes_on_names() && !carried.variables.is_empty() {
            entry["env_vars"] = json!(carried.variables);
        }
        entry
    }

    /// Returns whether its entries can name variables of its own environment that the server gets.
    fn passes_on_names(self) -> bool {
        self == Self::Codex
    }
}

pub(super) fn run(context: &Context, typed: &AppConfig) -> Result<Exit, Failure> {
    let target = context.target(&TargetArgs {
        server: typed.server.clone(),
        account: None,
    })?;
    let carried = carried(context, typed)?;
    let name = if is_url(&typed.server) {
        name_for(target.key.server())
    } else {
        typed.server.clone()
    };
    let (app, member) = (typed.r#for, typed.r#for.member());
    let name = app.name(name);
    let entry = app.entry(&own_path()?, &arguments(typed, &carried.arguments), carried);
    if !carried.variables.is_empty() && !app.passes_on_names() {
        let variables = carried.variables.join(", ");
        context.ui.warn(format_args!(
            "the application has to have these variables too, which are set here: {variables}"
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
        None => usual_file(app)?,
    };
    let backup = file::change(&path, |before| {
        if app == App::Codex {
            file::with_table(before, &path, member, &name, &entry)
        } else {
            json_text::with_member(before, member, &name, &entry).map_err(|why| {
                let message = format!("{} is left as it is: {why}", path.display());
                let hint = "see what to put there by hand: the same command without --write";
                Failure::other("file", message, Some(hint.to_owned()))
            })
        }
    })?;
    let document = json!({ "file": path, "backup": backup, "name": name });
    context.ui.result(&document, || {
        let kept = backup.map(|backup| format!("; the old one is {}", backup.display()));
        format!(
            "{name} is in {}{}",
            path.display(),
            kept.unwrap_or_default()
        )
    });
    context.ui.progress("start the application again");
    Ok(Exit::Done)
}

/// Returns what goes along, if all of it can, and if the proxy will take the server.
fn carried<'a>(context: &'a Context, typed: &AppConfig) -> Result<&'a ForwardedEnv, Failure> {
    // A name was allowed when it was made.
    if is_url(&typed.server) {
        allowed_url(&typed.server, typed.allow_http, &context.servers()?)?;
    }
    let carried = &context.config.carried;
    match carried.lost.first() {
        None => Ok(carried),
        Some(flag) => Err(Failure::usage(
            format!("what {flag} names is not UTF-8 text, and the file of an application is"),
            "give it a name of plain letters",
        )),
    }
}

/// Returns an application that is started from a desktop knows no PATH.
fn own_path() -> Result<String, Failure> {
    let own = std::env::current_exe().ok();
    let own = own.and_then(|path| path.to_str().map(str::to_owned));
    own.ok_or_else(|| Failure::other("config", "this command does not know its own path", None))
}

/// Returns what chooses the data of this command now chooses it there as well.
fn arguments(typed: &AppConfig, carried: &[String]) -> Vec<String> {
    let own = ["proxy", &typed.server].map(str::to_owned);
    let allowed = typed.allow_http.then(|| "--allow-http".to_owned());
    let arguments = own.into_iter().chain(allowed);
    arguments.chain(carried.iter().cloned()).collect()
}

fn usual_file(app: App) -> Result<PathBuf, Failure> {
    use etcetera::BaseStrategy as _;
    let unknown = || {
        let hint = Some("name it: --file FILE".to_owned());
        Failure::other("config", "this system names no home directory", hint)
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
