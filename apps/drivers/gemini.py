"""Gemini CLI."""

import json

from .app import NODE, App


class Gemini(App):
    name, title, package = "gemini", "Gemini CLI", "@google/gemini-cli"

    def command(self):
        return [NODE, str(self.modules() / self.package / "bundle/gemini.js")]

    def prepare(self):
        # In a folder that the user does not trust, Gemini CLI starts no server.
        trusted = {str(self.home.work): "TRUST_FOLDER"}
        self.home.write(".gemini/trustedFolders.json", json.dumps(trusted))
