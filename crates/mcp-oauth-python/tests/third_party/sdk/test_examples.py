"""Runs every program in ``examples``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from generations import SDK_VERSION
from testbed import ROOT, Testbed

EXAMPLES = ROOT / "crates/mcp-oauth-python/examples"
#: The version of the MCP SDK that each example is run with, and the text that it prints.
OUTPUT = {
    "fastmcp_client.py": (2, ["whoami: The client and its scopes", "{'sum': 3}"]),
    "httpx_client.py": (2, ["{'notes': ['buy milk']}", "notes:write", "A test server"]),
    "langchain_tools.py": (1, ["home_whoami", "work_add: ", "home_add: "]),
    "mcp_sdk_client.py": (2, ["whoami: The client and its scopes", "{'sum': 3}"]),
    "requests_client.py": (2, ["{'notes': ['buy milk']}"]),
}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == OUTPUT.keys()


@pytest.mark.parametrize(
    "name", [name for name, (version, _) in OUTPUT.items() if version == SDK_VERSION]
)
def test_an_example_prints_what_it_should(testbed: Testbed, name: str) -> None:
    program = subprocess.run(
        [sys.executable, str(EXAMPLES / name), testbed.url],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert program.returncode == 0, program.stderr
    _, expected = OUTPUT[name]
    for text in expected:
        assert text in program.stdout
