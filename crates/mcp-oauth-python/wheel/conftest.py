"""Fixtures of the tests of a built wheel, and the page with their results, docs/wheel.md.

`scripts/check wheel` builds the wheel from the source distribution, and runs these tests. They install it
with pip in an empty environment of each Python that the machine has, and never use the package of the
checkout.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

from environments import DIST, Installed, python, pythons, run
from testbed import ROOT, Testbed

#: The lines of docs/wheel.md, in the order of the tests.
Results = list[tuple[str, str]]
RESULTS = pytest.StashKey[Results]()


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    """Returns the lines of docs/wheel.md: each test adds what it has seen."""
    return pytestconfig.stash.setdefault(RESULTS, [])


@pytest.fixture(scope="session")
def wheel() -> pathlib.Path:
    [path] = DIST.glob("mcp_client_oauth-*.whl")
    return path


@pytest.fixture(scope="session")
def sdist() -> pathlib.Path:
    [path] = DIST.glob("mcp_client_oauth-*.tar.gz")
    return path


@pytest.fixture(scope="session", params=pythons())
def installed(
    request: pytest.FixtureRequest,
    wheel: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Installed:
    """Installs the wheel with pip, alone and without an index."""
    directory = tmp_path_factory.mktemp("environment")
    interpreter = python(request.param)
    assert interpreter
    run(interpreter, "-m", "venv", str(directory), home=directory)
    run(str(directory / "bin/pip"), "install", str(wheel), home=directory)
    return Installed(directory / "bin", request.param)


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    """Starts an authorization server and an MCP server."""
    servers = Testbed()
    yield servers
    servers.stop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes docs/wheel.md if MCP_OAUTH_TEST_WRITE_TABLE is set and every test has passed."""
    if not os.environ.get("MCP_OAUTH_TEST_WRITE_TABLE") or session.testsfailed:
        return
    page = ROOT / "docs/wheel.md"
    begin, _, _ = page.read_text().partition("Last full run:")
    git = ["git", "-C", str(ROOT)]
    date = subprocess.check_output(["date", "-u", "+%F"], text=True).strip()
    commit = subprocess.check_output([*git, "rev-parse", "--short=12", "HEAD"], text=True).strip()
    table = "\n".join(f"| {name} | {result} |" for name, result in session.config.stash[RESULTS])
    page.write_text(
        f"{begin}Last full run: {date}, commit `{commit}`, `scripts/check wheel`.\n\n"
        f"| | |\n|---|---|\n{table}\n"
    )
