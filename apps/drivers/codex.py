"""Codex: its lists, and `codex app-server`, which its desktop app and its IDE extensions use."""

import json
import platform

from harness.model import text_of
from harness.process import LineProcess

from .app import ARCHITECTURE, NAME, App

CONFIG = """model = "scripted"
model_provider = "scripted"

[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
wire_api = "responses"
"""


class Codex(App):
    name, title, package = "codex", "Codex", "@openai/codex"
    vias = ["proxy", "headers", "listen"]
    has_session = True

    def command(self):
        target = f"{platform.machine()}-unknown-linux-musl"
        vendor = self.modules() / f"@openai/codex-linux-{ARCHITECTURE}/vendor"
        return [str(vendor / target / "bin/codex")]

    def use_model(self, url):
        """Makes Codex use a model of the user's own, above what is in its file already."""
        file = self.home.path / ".codex/config.toml"
        entries = file.read_text() if file.exists() else ""
        entries = entries[max(0, entries.find("[mcp_servers")) :] if "[mcp_servers" in entries else ""
        self.home.write(".codex/config.toml", CONFIG.format(url=url) + "\n" + entries)

    def entry(self, via):
        listed = self.run("mcp", "list", "--json")
        entries = json.loads(listed[listed.index("[\n") :])
        entry = next((entry for entry in entries if entry["name"] == NAME), None)
        kind = "stdio" if via == "proxy" else "streamable_http"
        accepted = entry and entry["enabled"] and entry["transport"]["type"] == kind
        return None if accepted else f"listed as {entry}"

    def add_url(self, url):
        self.run("mcp", "add", NAME, "--url", url)

    def connects(self):
        session = AppServer(self)
        try:
            listed = session.request("mcpServerStatus/list", {})["data"]
        finally:
            session.stop()
        server = next((server for server in listed if server["name"] == NAME), {})
        return None if "whoami" in server.get("tools", {}) else f"listed as {server}"

    def session(self, model, elicitations):
        self.use_model(model.url)
        return CodexSession(self, elicitations)


class AppServer:
    """The JSON-RPC client of an app-server, in the place of Codex's user interface."""

    def __init__(self, app):
        self.process = LineProcess([*app.command(), "app-server"], app.home)
        self.requests = 0
        client = {"name": "mcp-oauth-apps", "version": "0"}
        self.request("initialize", {"clientInfo": client})
        self.process.send({"method": "initialized"})

    def request(self, method, params):
        self.requests += 1
        self.process.send({"id": self.requests, "method": method, "params": params})
        while True:
            message = self.read()
            if message.get("id") == self.requests and "method" not in message:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']['message']}")
                return message["result"]

    def read(self):
        message = self.process.read()
        if "method" in message and "id" in message:
            response = self.respond(message["method"], message["params"])
            self.process.send({"id": message["id"], "result": response})
        return message

    def respond(self, method, params):
        raise RuntimeError(f"unexpected request of the app: {method}")

    def received(self):
        return self.process.received

    def stop(self):
        self.process.stop()


class CodexSession(AppServer):
    """A thread with its user, who allows each tool call."""

    def __init__(self, app, elicitations):
        self.elicitations = elicitations
        super().__init__(app)
        self.thread = self.request("thread/start", {})["thread"]["id"]

    def turn(self, prompt):
        """Sends a message of the user, and returns when the model has ended its turn."""
        text = {"type": "text", "text": prompt}
        self.request("turn/start", {"threadId": self.thread, "input": [text]})
        while self.read().get("method") != "turn/completed":
            pass

    def call(self, tool, arguments):
        """Calls a tool without the model, as Codex's user interface can, and returns its text."""
        params = {"threadId": self.thread, "server": NAME, "tool": tool, "arguments": arguments}
        return text_of(self.request("mcpServer/tool/call", params))

    def respond(self, method, params):
        if method != "mcpServer/elicitation/request":
            return super().respond(method, params)
        if params["mode"] == "url":
            # The page of the login is for the user's browser.
            url = params.pop("url")
            return {"action": self.elicitations.decide(url, params["message"]), "content": None}
        if (params["_meta"] or {}).get("codex_approval_kind") == "mcp_tool_call":
            return {"action": "accept", "content": {}}
        raise RuntimeError(f"unexpected form: {params['message']}")
