"""Runs every program in ``examples``."""

from __future__ import annotations

import pathlib
import subprocess
import sys
from importlib.metadata import version

import pytest

from testbed import Testbed

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
#: The text that each example prints.
OUTPUT = {
    "fastmcp_client.py": ["whoami: The client and its scopes", "{'sum': 3}"],
    "httpx_client.py": ["{'notes': ['buy milk']}", "notes:write", "A test server"],
    "langchain_tools.py": ["home_whoami", "work_add: ", "home_add: "],
    "mcp_sdk_client.py": ["whoami: The client and its scopes", "{'sum': 3}"],
    "requests_client.py": ["{'notes': ['buy milk']}"],
}
#: The examples that need version 2 of the MCP SDK, and those that need version 1.
VERSION_2 = {"fastmcp_client.py", "mcp_sdk_client.py"}
VERSION_1 = {"langchain_tools.py"}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == OUTPUT.keys()


@pytest.mark.parametrize("name", OUTPUT)
def test_an_example_prints_what_it_should(testbed: Testbed, name: str) -> None:
    is_version_2 = version("mcp").startswith("2.")
    if name in (VERSION_1 if is_version_2 else VERSION_2):
        pytest.skip("the example needs the other version of the MCP SDK")
    program = subprocess.run(
        [sys.executable, str(EXAMPLES / name), testbed.url],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert program.returncode == 0, program.stderr
    for text in OUTPUT[name]:
        assert text in program.stdout
