//! What differs between the applications. The forms were read from the packages of the applications, or
//! from their public documentation where there is no package.

use super::text::Format;
use crate::args::App;

/// The texts in the file of an application that it replaces by variables. Nothing escapes them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Expansion {
    /// Texts are used as they are.
    None,
    /// `${…}`, in each text.
    Braces,
    /// `$NAME` and `${…}`, in each text.
    Dollar,
    /// `$NAME` and `${…}`, in the values of variables only.
    DollarInVariables,
    /// `{env:…}` and `{file:…}`, in each text.
    Curly,
}

/// The path of a variable from the application's own environment to the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Forwarding {
    /// The server has the whole environment of the application.
    Inherited,
    /// The entry names the variables, in this list.
    Listed(&'static str),
    /// The entry sets each variable to `${NAME}`, which the application replaces.
    Referenced,
    /// The server has a few fixed variables only.
    Never,
}

impl App {
    /// Returns the name that users know.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::ClaudeCode => "Claude Code",
            Self::ClaudeDesktop => "Claude Desktop",
            Self::Codex => "Codex",
            Self::Copilot => "GitHub Copilot CLI",
            Self::Cursor => "Cursor",
            Self::Gemini => "Gemini CLI",
            Self::Generic => "the application",
            Self::Goose => "goose",
            Self::Opencode => "OpenCode",
            Self::Qwen => "Qwen Code",
            Self::Vscode => "VS Code",
            Self::Windsurf => "Windsurf",
            Self::Zed => "Zed",
        }
    }

    /// Returns the format of the file.
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Codex => Format::Toml,
            Self::Goose => Format::Yaml,
            _ => Format::Json,
        }
    }

    /// Returns the member of the file that has the servers.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Vscode => "servers",
            Self::Zed => "context_servers",
            Self::Codex => "mcp_servers",
            Self::Opencode => "mcp",
            Self::Goose => "extensions",
            _ => "mcpServers",
        }
    }

    /// Returns a name for a server that the application accepts.
    pub(crate) fn server_name(self, name: &str) -> String {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        match self {
            // Both refuse other characters.
            Self::ClaudeCode | Self::Codex => name.replace(|c| !is_allowed(c), "-"),
            // The key of an extension is its name in lower case.
            Self::Goose => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }

    /// Returns a command that shows whether the application accepts the entry, if it has one.
    pub(crate) fn check_command(self) -> Option<&'static str> {
        match self {
            Self::ClaudeCode => Some("claude mcp list"),
            Self::Codex => Some("codex mcp list"),
            Self::Copilot => Some("copilot mcp list"),
            Self::Gemini => Some("gemini mcp list"),
            Self::Opencode => Some("opencode mcp list"),
            Self::Qwen => Some("qwen mcp list"),
            _ => None,
        }
    }

    /// Returns whether an entry can name variables of a source that the application has, so that it needs
    /// no warning.
    pub(crate) fn names_variables(self) -> bool {
        matches!(self.forwarding(), Forwarding::Listed(_))
    }

    /// Returns the member of an entry that has the variables.
    pub(super) fn variables_key(self) -> &'static str {
        match self {
            Self::Opencode => "environment",
            Self::Goose => "envs",
            _ => "env",
        }
    }

    pub(super) fn expansion(self) -> Expansion {
        match self {
            Self::ClaudeCode | Self::Cursor | Self::Vscode | Self::Windsurf => Expansion::Braces,
            Self::Gemini | Self::Qwen => Expansion::Dollar,
            Self::Copilot => Expansion::DollarInVariables,
            Self::Opencode => Expansion::Curly,
            Self::ClaudeDesktop | Self::Codex | Self::Generic | Self::Goose | Self::Zed => {
                Expansion::None
            }
        }
    }

    pub(super) fn forwarding(self) -> Forwarding {
        match self {
            Self::Codex => Forwarding::Listed("env_vars"),
            Self::Goose => Forwarding::Listed("env_keys"),
            // Gemini removes variables with AUTH, TOKEN, SECRET or PASSWORD in their names, and Copilot
            // forwards those that it knows to be harmless.
            Self::Gemini | Self::Copilot => Forwarding::Referenced,
            Self::ClaudeDesktop => Forwarding::Never,
            _ => Forwarding::Inherited,
        }
    }
}

impl Expansion {
    /// Returns whether the application would replace a part of this text.
    pub(super) fn changes(self, text: &str, is_variable: bool) -> bool {
        let follows = |is_begin: fn(char) -> bool| {
            let mut parts = text.split('$').skip(1);
            parts.any(|rest| rest.starts_with(is_begin))
        };
        let is_dollar = |c: char| c == '{' || c == '_' || c.is_ascii_alphanumeric();
        match self {
            Self::None => false,
            Self::Braces => follows(|c| c == '{'),
            Self::Dollar => follows(is_dollar),
            Self::DollarInVariables => is_variable && follows(is_dollar),
            Self::Curly => text.contains("{env:") || text.contains("{file:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_an_application_would_change_is_found() {
        for (app, text, changed) in [
            (App::ClaudeCode, "/a/${HOME}", true),
            (App::ClaudeCode, "/a/$HOME", false),
            (App::Gemini, "/a/$HOME", true),
            (App::Gemini, "/a/${x}", true),
            (App::Gemini, "costs 5$ or $-", false),
            (App::Copilot, "/a/$HOME", false),
            (App::Opencode, "/a/{env:HOME}", true),
            (App::Opencode, "/a/${HOME}", false),
            (App::Codex, "/a/${HOME}", false),
        ] {
            assert_eq!(app.expansion().changes(text, false), changed, "{text}");
        }
        assert!(App::Copilot.expansion().changes("$HOME", true));
    }
}
