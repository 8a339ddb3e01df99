"""The servers that the apps talk to: the testbed, with control over its tokens."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("MCP_OAUTH_TEST_TESTBED") or str(ROOT / "target/debug/examples/control")


class Testbed:
    """An authorization server and an MCP server. They end with this process."""

    def __init__(self, lifetime, log):
        self.lifetime = lifetime
        self.process = subprocess.Popen(
            [PROGRAM, str(lifetime)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        started = self.read()
        self.url, self.issuer = started["server"], started["issuer"]

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the testbed has ended")
        return json.loads(line)

    def run(self, *words):
        """Runs a command of crates/mcp-oauth-testbed/examples/control.rs."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        response = self.read()
        if isinstance(response, dict) and "error" in response:
            raise RuntimeError(response["error"])
        return response

    def expire(self):
        """Lets every access token expire: the clock of the servers is ahead from now on."""
        self.run("expire", self.lifetime + 1)

    def tool_calls(self):
        """Returns the number of tool calls that succeeded."""
        calls = [request for request in self.run("requests") if request["rpc"] == "tools/call"]
        return sum(request["status"] == 200 for request in calls)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
