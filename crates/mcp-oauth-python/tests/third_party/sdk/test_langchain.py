"""langchain-mcp-adapters, which needs version 1 of the MCP SDK."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_mcp_adapters.client import MultiServerMCPClient

from generations import load
from mcp_client_oauth import Client
from scenario import TOOLS, survives_expiry_and_revocation
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def test_the_tools_go_on(testbed: Testbed) -> None:
    session = await Client(store="memory").login(testbed.url)
    client = MultiServerMCPClient(
        {
            "notes": {
                "transport": "streamable_http",
                "url": testbed.url,
                "auth": load("httpx").OAuth(session),
            }
        }
    )
    tools = {tool.name: tool for tool in await client.get_tools()}
    assert tools.keys() == TOOLS

    async def add(a: int, b: int) -> Any:
        return await tools["add"].ainvoke({"a": a, "b": b})

    await survives_expiry_and_revocation(testbed, add)
