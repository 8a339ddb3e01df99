"""Fixtures of the tests with programs of others."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from generations import Httpx, load


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request: pytest.FixtureRequest) -> Httpx:
    return load(request.param)


@pytest.fixture
def sdk_httpx() -> Httpx:
    """Returns the generation of httpx that the installed MCP SDK is made with."""
    return load("httpx2" if version("mcp").startswith("2.") else "httpx")
