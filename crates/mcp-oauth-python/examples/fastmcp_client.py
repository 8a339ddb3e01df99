"""Calls a tool with FastMCP, and logs in in the browser when that is necessary.

python fastmcp_client.py https://mcp.example.com/mcp
"""

import asyncio
import sys

import fastmcp

from mcp_client_oauth.httpx2 import OAuth


async def main(url: str) -> None:
    async with fastmcp.Client(url, auth=OAuth(url)) as client:
        for tool in await client.list_tools():
            print(f"{tool.name}: {tool.description}")
        result = await client.call_tool("add", {"a": 1, "b": 2})
        print(result.data)


asyncio.run(main(sys.argv[1]))
