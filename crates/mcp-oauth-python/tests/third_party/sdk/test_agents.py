"""The MCP clients of openai-agents and pydantic-ai. No model is needed to list and call tools."""

from __future__ import annotations

from typing import Any

import pytest
from agents.mcp import MCPServerStreamableHttp
from pydantic_ai.mcp import MCPToolset

from generations import Httpx
from mcp_client_oauth import Client
from scenario import TOOLS, survives_expiry_and_revocation
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def test_openai_agents_go_on(testbed: Testbed, sdk_httpx: Httpx) -> None:
    session = await Client(store="memory").login(testbed.url)
    auth = sdk_httpx.OAuth(session)
    async with MCPServerStreamableHttp({"url": testbed.url, "auth": auth}) as server:
        assert {tool.name for tool in await server.list_tools()} == TOOLS

        async def add(a: int, b: int) -> Any:
            return (await server.call_tool("add", {"a": a, "b": b})).content

        await survives_expiry_and_revocation(testbed, add)


async def test_pydantic_ai_goes_on(testbed: Testbed, sdk_httpx: Httpx) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with MCPToolset(testbed.url, auth=sdk_httpx.OAuth(session)) as toolset:
        assert {tool.name for tool in await toolset.list_tools()} == TOOLS

        async def add(a: int, b: int) -> Any:
            return await toolset.direct_call_tool("add", {"a": a, "b": b})

        await survives_expiry_and_revocation(testbed, add)
