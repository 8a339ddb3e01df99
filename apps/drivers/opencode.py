"""opencode."""

from .app import ARCHITECTURE, App


class OpenCode(App):
    name, title, package = "opencode", "opencode", "opencode-ai"

    def command(self):
        # The build for processors without AVX2 runs everywhere.
        suffix = "-baseline" if ARCHITECTURE == "x64" else ""
        return [str(self.modules() / f"opencode-linux-{ARCHITECTURE}{suffix}/bin/opencode")]
