"""`mcp-oauth proxy --listen`, as a user starts it in another terminal."""

import subprocess
import threading


class Endpoint:
    def __init__(self, home):
        command = [str(home.path / "bin/mcp-oauth"), "proxy", "notes", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(
            command,
            env=home.environment,
            cwd=home.work,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        line = next((line for line in self.process.stderr if "listening on " in line), None)
        if line is None:
            raise RuntimeError(f"`proxy --listen` has ended: exit code {self.process.wait()}")
        self.url = line.split("listening on ")[1].strip()
        # What it writes later must not fill the pipe.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def stop(self):
        self.process.terminate()
        self.process.wait()
