"""Fixtures of the tests with MCP clients, which run with version 1 and with version 2 of the MCP SDK."""

from __future__ import annotations

import pytest

from generations import SDK_VERSION, Httpx, load

#: The tests that need the other version.
collect_ignore = ["test_mcp_client.py" if SDK_VERSION == 1 else "test_langchain.py"]


@pytest.fixture
def sdk_httpx() -> Httpx:
    """Returns the generation of httpx that the installed MCP SDK is made with."""
    return load("httpx" if SDK_VERSION == 1 else "httpx2")
