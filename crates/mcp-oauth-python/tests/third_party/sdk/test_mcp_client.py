"""The client of version 2 of the official MCP SDK, in both modes: with ``initialize``, and without."""

from __future__ import annotations

from typing import Any

import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from generations import Httpx
from mcp_client_oauth import Client
from scenario import TOOLS, survives_expiry_and_revocation
from testbed import Testbed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_goes_on(testbed: Testbed, sdk_httpx: Httpx, mode: Any) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with (
        sdk_httpx.client(session) as http,
        mcp.Client(streamable_http_client(testbed.url, http_client=http), mode=mode) as client,
    ):
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS

        async def add(a: int, b: int) -> Any:
            return (await client.call_tool("add", {"a": a, "b": b})).content

        await survives_expiry_and_revocation(testbed, add)
