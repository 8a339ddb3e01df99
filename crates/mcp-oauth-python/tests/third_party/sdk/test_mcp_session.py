"""``ClientSession`` of the official MCP SDK: 2.x with httpx2, 1.x with httpx."""

from __future__ import annotations

from typing import Any

import mcp
import pytest
from mcp.client.streamable_http import streamable_http_client

from generations import Httpx
from mcp_client_oauth import AuthorizationError, Client
from scenario import TOOLS, survives_expiry_and_revocation
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def test_a_client_session_goes_on(testbed: Testbed, sdk_httpx: Httpx) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with (
        sdk_httpx.client(session) as http,
        streamable_http_client(testbed.url, http_client=http) as streams,
        mcp.ClientSession(streams[0], streams[1]) as client,
    ):
        await client.initialize()
        assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS

        async def add(a: int, b: int) -> Any:
            return (await client.call_tool("add", {"a": a, "b": b})).content

        await survives_expiry_and_revocation(testbed, add)


async def test_a_tool_that_needs_a_wider_scope_leads_to_a_login(
    testbed: Testbed, sdk_httpx: Httpx
) -> None:
    session = Client(store="memory").on_demand(testbed.url)
    async with (
        sdk_httpx.client(session) as http,
        streamable_http_client(testbed.url, http_client=http) as streams,
        mcp.ClientSession(streams[0], streams[1]) as client,
    ):
        await client.initialize()
        result = await client.call_tool("write_note", {"text": "bread"})
        assert "2" in str(result.content)
    assert testbed.logins() == 2


async def test_an_insufficient_scope_is_an_error(testbed: Testbed, sdk_httpx: Httpx) -> None:
    """The transport ends with the error: the SDK puts it into a group."""
    session = await Client(store="memory").login(testbed.url)
    with pytest.RaisesGroup(AuthorizationError, flatten_subgroups=True):
        async with (
            sdk_httpx.client(session) as http,
            streamable_http_client(testbed.url, http_client=http) as streams,
            mcp.ClientSession(streams[0], streams[1]) as client,
        ):
            await client.initialize()
            await client.call_tool("write_note", {"text": "bread"})
