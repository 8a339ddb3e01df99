//! The path of the file of an application, with the variables that move it.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use crate::{args::App, config::application_directory, error::Failure};

/// The directories of this user.
struct Directories {
    home: PathBuf,
    /// The configurations of desktop applications.
    native: PathBuf,
    /// `XDG_CONFIG_HOME`, else `~/.config`, as command line tools have it on every system.
    xdg: PathBuf,
}

/// Returns the file of the application; none for [`App::Generic`], which has no usual one.
pub(crate) fn file_of(app: App) -> Result<Option<PathBuf>, Failure> {
    let directories = Directories::find()?;
    Ok(directories.file(app, application_directory))
}

impl Directories {
    fn find() -> Result<Self, Failure> {
        let unknown = || {
            let hint = Some("give the file: --file FILE".to_owned());
            Failure::other("install", "no home directory found", hint)
        };
        let base = etcetera::base_strategy::choose_native_strategy().map_err(|_| unknown())?;
        // macOS applications keep their files in `Library/Application Support`, which etcetera has for
        // data: what it has for configurations is `Library/Preferences`.
        let native = if cfg!(target_os = "macos") {
            base.data_dir()
        } else {
            base.config_dir()
        };
        let home = base.home_dir().to_owned();
        let xdg = application_directory("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
        Ok(Self {
            native,
            xdg: xdg.unwrap_or_else(|| home.join(".config")),
            home,
        })
    }

    /// Returns the file of the application, with `set` for the directories that the environment sets.
    fn file(&self, app: App, set: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
        let in_home = |name: &str| self.home.join(name);
        let moved = |variable, usual| set(variable).unwrap_or(usual);
        let file = match app {
            App::ClaudeCode => self.claude_code(set("CLAUDE_CONFIG_DIR")),
            App::ClaudeDesktop => self.native.join("Claude/claude_desktop_config.json"),
            App::Codex => moved("CODEX_HOME", in_home(".codex")).join("config.toml"),
            App::Copilot => moved("COPILOT_HOME", in_home(".copilot")).join("mcp-config.json"),
            App::Cursor => in_home(".cursor/mcp.json"),
            App::Gemini => {
                moved("GEMINI_CLI_HOME", self.home.clone()).join(".gemini/settings.json")
            }
            App::Goose => self.goose(set("GOOSE_PATH_ROOT")),
            App::Opencode => self.opencode(),
            App::Qwen => moved("QWEN_HOME", in_home(".qwen")).join("settings.json"),
            App::Vscode => self.native.join("Code/User/mcp.json"),
            App::Windsurf => in_home(".codeium/windsurf/mcp_config.json"),
            App::Zed if cfg!(windows) => self.native.join("Zed/settings.json"),
            App::Zed if cfg!(target_os = "macos") => in_home(".config/zed/settings.json"),
            App::Zed => {
                moved("FLATPAK_XDG_CONFIG_HOME", self.xdg.clone()).join("zed/settings.json")
            }
            App::Generic => return None,
        };
        Some(file)
    }

    /// Claude Code still uses a `.config.json` of its first versions, if there is one.
    fn claude_code(&self, set: Option<PathBuf>) -> PathBuf {
        let first = set.clone().unwrap_or_else(|| self.home.join(".claude"));
        let first = first.join(".config.json");
        if first.exists() {
            return first;
        }
        set.unwrap_or_else(|| self.home.clone())
            .join(".claude.json")
    }

    /// goose ignores a relative `GOOSE_PATH_ROOT`.
    fn goose(&self, root: Option<PathBuf>) -> PathBuf {
        let directory = match root.filter(|root| root.is_absolute()) {
            Some(root) => root.join("config"),
            None if cfg!(windows) => self.native.join("Block/goose/config"),
            None => self.xdg.join("goose"),
        };
        directory.join("config.yaml")
    }

    /// OpenCode reads several files; it changes the first of these that exists, and creates the last.
    fn opencode(&self) -> PathBuf {
        let directory: &Path = &self.xdg.join("opencode");
        let plain = directory.join("opencode.json");
        if plain.exists() {
            return plain;
        }
        directory.join("opencode.jsonc")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_the_applications_move_their_files() {
        let home = tempfile::tempdir().unwrap();
        let directories = Directories {
            home: home.path().to_owned(),
            native: home.path().join("native"),
            xdg: home.path().join("xdg"),
        };
        let moved = home.path().join("moved");
        for (app, variable, file, in_moved) in [
            (
                App::ClaudeCode,
                "CLAUDE_CONFIG_DIR",
                ".claude.json",
                ".claude.json",
            ),
            (
                App::Codex,
                "CODEX_HOME",
                ".codex/config.toml",
                "config.toml",
            ),
            (
                App::Copilot,
                "COPILOT_HOME",
                ".copilot/mcp-config.json",
                "mcp-config.json",
            ),
            (
                App::Gemini,
                "GEMINI_CLI_HOME",
                ".gemini/settings.json",
                ".gemini/settings.json",
            ),
            (
                App::Qwen,
                "QWEN_HOME",
                ".qwen/settings.json",
                "settings.json",
            ),
        ] {
            let usual = directories.file(app, |_| None).unwrap();
            assert_eq!(usual, home.path().join(file));
            let set = |name: &str| (name == variable).then(|| moved.clone());
            assert_eq!(directories.file(app, set).unwrap(), moved.join(in_moved));
        }
        let set = |name: &str| (name == "GOOSE_PATH_ROOT").then(|| moved.clone());
        let goose = directories.file(App::Goose, set).unwrap();
        assert_eq!(goose, moved.join("config/config.yaml"));
        assert_eq!(directories.file(App::Generic, |_| None), None);
    }

    #[test]
    fn a_file_that_an_application_already_has_is_used() {
        let home = tempfile::tempdir().unwrap();
        let directories = Directories {
            home: home.path().to_owned(),
            native: home.path().to_owned(),
            xdg: home.path().join("xdg"),
        };
        let file = |app| directories.file(app, |_| None).unwrap();
        let opencode = home.path().join("xdg/opencode");
        assert_eq!(file(App::Opencode), opencode.join("opencode.jsonc"));
        std::fs::create_dir_all(&opencode).unwrap();
        std::fs::File::create(opencode.join("opencode.json")).unwrap();
        assert_eq!(file(App::Opencode), opencode.join("opencode.json"));
        let first = home.path().join(".claude/.config.json");
        std::fs::create_dir_all(first.parent().unwrap()).unwrap();
        std::fs::File::create(&first).unwrap();
        assert_eq!(file(App::ClaudeCode), first);
    }
}
