"""What the drivers share."""

import json
import pathlib
import platform
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = str(ROOT / "interop/node_modules/node/bin/node")
ARCHITECTURE = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
COLORS = re.compile(r"\x1b\[[0-9;]*m")
# In lists of servers; not "disconnected".
CONNECTED = re.compile(r"\bconnected\b", re.IGNORECASE)
# The name of the entry and of the login.
NAME = "notes"


class App:
    """An app in a home. Subclasses set `name`, `title`, `package` and `command`."""

    # The ways in which the app can get the token.
    vias = ["proxy"]
    # Whether the app can be driven through tool calls, with a scripted model.
    has_session = False

    def __init__(self, home):
        self.home = home

    @classmethod
    def modules(cls):
        return ROOT / ".apps" / cls.name / "node_modules"

    @classmethod
    def version(cls):
        manifest = json.loads((cls.modules() / cls.package / "package.json").read_text())
        return manifest["version"]

    def run(self, *arguments, **more):
        return self.home.run(*self.command(), *arguments, **more)

    def prepare(self):
        """Writes the settings that a user of the app already has."""

    def add_url(self, url):
        """Adds the entry of a server that needs no login."""
        raise NotImplementedError

    def entry(self, via):
        """Returns why the app does not accept the entry, or none."""
        return self.connects()

    def connects(self):
        """Returns why the app's own health check fails, or none."""
        listed = COLORS.sub("", self.run("mcp", "list"))
        line = next((line for line in listed.splitlines() if NAME in line), None)
        if line is None:
            return f"not listed: {listed.strip()}"
        return None if CONNECTED.search(line) else line.strip()
