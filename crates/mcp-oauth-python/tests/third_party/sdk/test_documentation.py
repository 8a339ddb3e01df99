"""Runs the Python blocks of ``docs/python.md`` and of the README, the blocks of a section in order.

A block that begins with ```` ```python mcp-1 ```` needs version 1 of the MCP SDK, and any other block
version 2. One that begins with ```` ```python no-run ```` is only compiled.
"""

from __future__ import annotations

import ast
import inspect
import os
import pathlib
import re
import subprocess
import types
from typing import Any, NamedTuple

import pytest

from generations import SDK_VERSION
from mcp_client_oauth import Client
from testbed import ROOT, Testbed

pytestmark = pytest.mark.anyio

PAGES = [ROOT / "docs/python.md", ROOT / "crates/mcp-oauth-python/README.md"]
COMMAND = pathlib.Path(os.environ.get("MCP_OAUTH_TEST_COMMAND") or ROOT / "target/debug/mcp-oauth")
URL = "https://mcp.example.com/mcp"
BLOCK = re.compile(r"^```python ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The kind of the blocks that run here.
KIND = "mcp-1" if SDK_VERSION == 1 else ""


class Section(NamedTuple):
    title: str
    blocks: list[tuple[str, str]]

    def runs_here(self) -> bool:
        return any(kind == KIND for kind, _ in self.blocks)

    async def run(self, url: str, kind: str) -> dict[str, Any]:
        """Runs the blocks at a server, and returns what they have defined."""
        names: dict[str, Any] = {}
        for text in [text for own, text in self.blocks if own == kind]:
            outcome = types.FunctionType(compiled(text.replace(URL, url)), names)()
            if inspect.isawaitable(outcome):
                await outcome
        return names


def compiled(text: str) -> types.CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code: types.CodeType = compile(text, "<documentation>", "exec", flags=flags)
    return code


def pages() -> str:
    return "\n## ".join(page.read_text() for page in PAGES)


def sections() -> list[Section]:
    parts = re.split(r"^##+ ", pages(), flags=re.MULTILINE)
    return [Section(part.splitlines()[0], BLOCK.findall(part)) for part in parts]


@pytest.fixture
def command(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the command, and logs in with it."""
    monkeypatch.setenv("PATH", f"{COMMAND.parent}:{os.environ['PATH']}")
    subprocess.run(["mcp-oauth", "login", "notes", testbed.url], check=True)


def test_every_block_is_found_and_has_valid_syntax() -> None:
    blocks = [text for section in sections() for _, text in section.blocks]
    assert len(blocks) == pages().count("```python")
    for text in blocks:
        compiled(text)


@pytest.mark.usefixtures("command")
@pytest.mark.parametrize(
    "section",
    [section for section in sections() if section.runs_here()],
    ids=lambda section: section.title,
)
async def test_the_blocks_of_a_section_run(section: Section, testbed: Testbed) -> None:
    await section.run(testbed.url, KIND)


@pytest.mark.usefixtures("command")
async def test_the_token_of_the_command_is_replaced_after_a_401(testbed: Testbed) -> None:
    section = next(section for section in sections() if "CommandAuth" in str(section.blocks))
    names = await section.run(testbed.url, "")
    testbed.expire()
    async with names["httpx2"].AsyncClient(auth=names["CommandAuth"]()) as http:
        assert (await http.get(f"{testbed.url}/notes")).status_code == 200
    assert testbed.refreshes() == 1


@pytest.mark.usefixtures("command")
async def test_the_package_finds_the_login_of_the_command(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    assert (await session.get("notes")).status_code == 200
    assert testbed.logins() == 1
