//! The applications that run MCP servers.

use clap::ValueEnum;

/// An application that runs MCP servers over stdio.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum App {
    /// Claude Code
    ClaudeCode,
    /// Claude Desktop
    ClaudeDesktop,
    /// Codex
    Codex,
    /// GitHub Copilot CLI
    Copilot,
    /// Cursor
    Cursor,
    /// Gemini CLI
    Gemini,
    /// Another application with an `mcpServers` object in JSON
    Generic,
    /// goose
    Goose,
    /// OpenCode
    Opencode,
    /// Qwen Code
    Qwen,
    /// Visual Studio Code
    Vscode,
    /// Windsurf
    Windsurf,
    /// Zed
    Zed,
}

/// The kind of entry that an application gets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Via {
    /// The application runs `mcp-oauth proxy`, which adds the token to each request.
    #[default]
    Proxy,
    /// The application connects to the server itself, and runs `mcp-oauth headers` for the token.
    Headers,
}
