"""The apps, by name. Each driver knows the app's package, how it lists its servers, and how it is driven."""

from . import claude_code, codex, gemini, opencode, qwen

APPS = {
    "claude-code": claude_code.ClaudeCode,
    "codex": codex.Codex,
    "gemini": gemini.Gemini,
    "opencode": opencode.OpenCode,
    "qwen": qwen.Qwen,
}
