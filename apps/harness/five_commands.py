"""From nothing to a tool call inside Codex, with five commands of README.md.

The first one, `cargo install`, has been done: without a network it cannot run. The others run as they are
printed. The model is a script; a user of Codex has one already.
"""

import pathlib
import shlex

from .checks import LIFETIME, PASSES, masked
from .home import COMMAND, Home
from .model import Call, ScriptedModel
from .testbed import Testbed

ROOT = pathlib.Path(__file__).resolve().parents[2]
INSTALL = "cargo install --path crates/mcp-oauth-cli"
APPROVED = """-c 'mcp_servers.notes.default_tools_approval_mode="approve"'"""
COMMANDS = [
    "mcp-oauth login notes {url}",
    "mcp-oauth install --app codex notes",
    "codex mcp list",
    f"codex exec {APPROVED} 'Which notes do I have?'",
]
# What README.md has of the commands.
IN_README = [INSTALL, "mcp-oauth login notes ", "mcp-oauth install --app codex notes"]
IN_README += ["codex mcp list", "codex exec "]


# What `codex exec` prints beside the conversation.
BANNER = (
    "WARNING:", "warning:", "OpenAI Codex", "----", "workdir:", "model:", "provider:", "approval:", "sandbox:",
    "reasoning", "session id:", "Reading additional input", "tokens used",
)


def applies_to(app, via):
    return (app.name, via) == ("codex", "proxy")


def run(app_type):
    """Returns the outcome, and the transcript."""
    home = Home("five-commands")
    log = open(home.path / "testbed.log", "ab")
    testbed, journal = Testbed(LIFETIME, log), []
    model = ScriptedModel([Call("list_notes")], journal)
    transcript = [f"$ {INSTALL}"]
    try:
        app = app_type(home)
        app.use_model(model.url)
        (home.path / "bin/codex").symlink_to(*app.command())
        home.run("git", "init", "--quiet")
        for command in COMMANDS:
            command = command.format(url=testbed.url)
            transcript += ["", f"$ {command}"]
            transcript.append(shown(home.run("sh", "-c", command)))
        called = "buy milk" in str(model.results)
        outcome = PASSES if called else f"no tool call: {model.results}"
        missing = missing_in_readme()
        if missing:
            outcome = f"README.md does not have: {', '.join(missing)}"
    except Exception as error:
        outcome = str(error)
    finally:
        model.stop()
        testbed.stop()
        log.close()
        home.remove()
    lines = [masked(line, home) for text in transcript for line in text.splitlines() or [""]]
    installed = str(pathlib.Path(COMMAND).parent)
    return masked(outcome, home), "\n".join(lines).replace(installed, "~/.cargo/bin")


def shown(output):
    """Returns the output without blank lines, and without the banner of `codex exec`."""
    lines = [line.rstrip() for line in output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(BANNER) and not line.isdigit()]
    # On a terminal `codex exec` prints the last message once; here it is in stdout and in stderr.
    if lines[-2:-1] == lines[-1:]:
        lines.pop()
    return "\n".join(lines)


def missing_in_readme():
    text = (ROOT / "README.md").read_text()
    return [shlex.quote(command) for command in IN_README if command not in text]
