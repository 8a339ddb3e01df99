"""Qwen Code."""

from .app import NODE, App


class Qwen(App):
    name, title, package = "qwen", "Qwen Code", "@qwen-code/qwen-code"

    def command(self):
        return [NODE, str(self.modules() / self.package / "cli.js")]
