"""Claude Code: its lists, and `claude -p` with the control protocol that its desktop and IDE hosts use."""

import json

from harness.process import LineProcess

from .app import ARCHITECTURE, NAME, App


class ClaudeCode(App):
    name, title, package = "claude-code", "Claude Code", "@anthropic-ai/claude-code"
    vias = ["proxy", "headers"]
    has_session = True

    def command(self):
        platform = self.modules() / f"@anthropic-ai/claude-code-linux-{ARCHITECTURE}"
        return [str(platform / "claude")]

    def prepare(self):
        self.home.write(".claude.json", json.dumps({"hasCompletedOnboarding": True}))
        self.home.environment |= {
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_TMPDIR": str(self.home.path / "tmp"),
            "ANTHROPIC_API_KEY": "sk-ant-none",
            # Nothing listens there. Without it every command waits for an unreachable network.
            "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
            # The model is offered the tools themselves, not a tool that searches for tools.
            "ENABLE_TOOL_SEARCH": "false",
        }

    def entry(self, via):
        shown = self.run("mcp", "get", NAME)
        kind = {"proxy": "stdio", "headers": "http"}[via]
        return None if f"Type: {kind}" in shown else shown.strip()

    def session(self, model, elicitations):
        return ClaudeSession(self, model, elicitations)


class ClaudeSession:
    """A conversation."""

    def __init__(self, app, model, elicitations):
        self.elicitations = elicitations
        tools = f"mcp__{NAME}"
        options = ["-p", "--verbose", "--allowedTools", tools]
        streams = ["--input-format", "stream-json", "--output-format", "stream-json"]
        self.process = LineProcess(
            [*app.command(), *options, *streams], app.home, ANTHROPIC_BASE_URL=model.url
        )
        self.process.send(
            {"type": "control_request", "request_id": "0", "request": {"subtype": "initialize"}}
        )

    def turn(self, prompt):
        """Sends a message of the user, and returns when the model has ended its turn."""
        message = {"role": "user", "content": prompt}
        self.process.send({"type": "user", "message": message})
        while True:
            message = self.process.read()
            if message["type"] == "control_request":
                self.respond(message)
            elif message["type"] == "result":
                return

    def respond(self, message):
        request = message["request"]
        if request["subtype"] != "elicitation" or request.get("mode") != "url":
            raise RuntimeError(f"unexpected request of the app: {request}")
        # The page of the login is for the user's browser.
        url = request.pop("url")
        action = self.elicitations.decide(url, request["message"])
        response = {
            "subtype": "success",
            "request_id": message["request_id"],
            "response": {"action": action},
        }
        self.process.send({"type": "control_response", "response": response})

    def received(self):
        return self.process.received

    def stop(self):
        self.process.stop()
