"""The servers of the tests: the testbed, with control over its tokens, and the browser of its user."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAM = os.environ.get("MCP_OAUTH_TEST_TESTBED") or str(ROOT / "target/debug/examples/control")
#: The user, who approves every login.
BROWSER = f"{sys.executable} {ROOT / 'apps/harness/user.py'} %s"


class Testbed:
    """An authorization server and an MCP server. They end with this process."""

    __test__ = False
    lifetime = 300

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [PROGRAM, str(self.lifetime), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started = self._read()
        self.url: str = started["server"]
        self.issuer: str = started["issuer"]

    def _read(self) -> Any:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAM} has ended")
        return json.loads(line)

    def run(self, *words: object) -> Any:
        """Runs a command of crates/mcp-oauth-testbed/examples/control.rs."""
        assert self.process.stdin
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        response = self._read()
        if isinstance(response, dict) and "error" in response:
            raise RuntimeError(response["error"])
        return response

    def expire(self) -> None:
        """Lets every access token expire: the clock of the servers is ahead from now on."""
        self.run("expire", self.lifetime + 1)

    def revoke_access(self) -> None:
        """Revokes every access token. The refresh tokens stay valid."""
        self.run("revoke-access")

    def revoke_all(self) -> None:
        """Revokes every token."""
        self.run("revoke-all")

    def requests(self) -> list[dict[str, Any]]:
        """Returns the requests that both servers have received."""
        requests: list[dict[str, Any]] = self.run("requests")
        return requests

    def grants(self, grant: str) -> int:
        """Returns the number of token requests with a grant that succeeded."""
        return sum(r["grant"] == grant and r["status"] == 200 for r in self.requests())

    def refreshes(self) -> int:
        """Returns the number of refreshes."""
        return self.grants("refresh_token")

    def logins(self) -> int:
        """Returns the number of logins in the browser."""
        return self.grants("authorization_code")

    def tool_calls(self) -> int:
        """Returns the number of tool calls that succeeded."""
        return sum(r["rpc"] == "tools/call" and r["status"] == 200 for r in self.requests())

    def stop(self) -> None:
        """Stops both servers."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
