"""Fixtures of all tests: a home of its own, a user with a browser, and the servers."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest

from testbed import BROWSER, Testbed


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """Sets another home directory, without the services of a desktop session."""
    directory = tmp_path / "home"
    directory.mkdir()
    monkeypatch.setenv("HOME", str(directory))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    monkeypatch.setenv("BROWSER", BROWSER)
    return directory


@pytest.fixture
def testbed() -> Iterator[Testbed]:
    """Starts an authorization server and an MCP server."""
    servers = Testbed()
    yield servers
    servers.stop()


@pytest.fixture
def other_testbed() -> Iterator[Testbed]:
    """Starts servers of another origin."""
    servers = Testbed()
    yield servers
    servers.stop()


@pytest.fixture
def dpop_testbed() -> Iterator[Testbed]:
    """Starts servers that require tokens which are bound to a key, and a nonce in each proof."""
    servers = Testbed("dpop")
    yield servers
    servers.stop()
