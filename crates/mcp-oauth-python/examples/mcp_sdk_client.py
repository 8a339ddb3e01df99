"""Calls a tool with the official MCP SDK, and logs in in the browser when that is necessary.

python mcp_sdk_client.py https://mcp.example.com/mcp
"""

import asyncio
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from mcp_client_oauth.httpx2 import OAuth


async def main(url: str) -> None:
    # A stream of the server may be silent for a long time.
    timeout = httpx2.Timeout(30, read=300)
    async with (
        httpx2.AsyncClient(auth=OAuth(url), timeout=timeout) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        for tool in (await client.list_tools()).tools:
            print(f"{tool.name}: {tool.description}")
        result = await client.call_tool("add", {"a": 1, "b": 2})
        print(result.structured_content)


asyncio.run(main(sys.argv[1]))
