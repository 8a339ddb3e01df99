"""A private home: the command, the app and the user's browser see no file of the real one."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = os.environ.get("MCP_OAUTH_TEST_COMMAND") or str(ROOT / "target/debug/mcp-oauth")
HOMES = ROOT / ".apps/homes"
TIMEOUT = 90


class Home:
    """A directory, and the environment that makes it the home."""

    def __init__(self, name):
        HOMES.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=HOMES))
        bin, self.work = self.path / "bin", self.path / "work"
        for directory in [bin, self.work, self.path / "tmp"]:
            directory.mkdir()
        (bin / "mcp-oauth").symlink_to(COMMAND)
        browser = bin / "browser"
        user = pathlib.Path(__file__).with_name("user.py")
        browser.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {user} "$1"\n')
        browser.chmod(0o700)
        self.environment = {
            "HOME": str(self.path),
            "PATH": f"{bin}:/usr/local/bin:/usr/bin:/bin",
            "TMPDIR": str(self.path / "tmp"),
            "LANG": "C.UTF-8",
            "BROWSER": str(browser),
            # No keychain: the store uses a key file.
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus",
        }

    def run(self, *arguments, **more):
        """Runs a command, and returns its stdout and stderr. Raises if it fails."""
        done = subprocess.run(
            arguments,
            env={**self.environment, **more},
            cwd=self.work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        if done.returncode:
            raise RuntimeError(f"{shlex.join(arguments)}: exit code {done.returncode}: {done.stdout}")
        return done.stdout

    def mcp_oauth(self, *arguments):
        return self.run(str(self.path / "bin/mcp-oauth"), *arguments)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def files(self):
        """Returns the text of each file of the app. The store of mcp-oauth is not one of them."""
        for path in self.path.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path.relative_to(self.path)), path.read_text(errors="replace")

    def remove(self):
        if os.environ.get("MCP_OAUTH_TEST_KEEP"):
            print(f"kept {self.path}")
        else:
            shutil.rmtree(self.path, ignore_errors=True)
