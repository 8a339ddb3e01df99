"""Loads the tools of two accounts into LangChain.

langchain-mcp-adapters uses version 1 of the MCP SDK, which is made with httpx.

python langchain_tools.py https://mcp.example.com/mcp
"""

import asyncio
import sys

from langchain_mcp_adapters.client import MultiServerMCPClient

from mcp_client_oauth import Client
from mcp_client_oauth.httpx import OAuth


async def main(url: str) -> None:
    logins = Client(client_name="LangChain example")
    client = MultiServerMCPClient(
        {
            account: {
                "transport": "streamable_http",
                "url": url,
                "auth": OAuth(logins.on_demand(url, account=account)),
            }
            for account in ("work", "home")
        },
        tool_name_prefix=True,
    )
    tools = {tool.name: tool for tool in await client.get_tools()}
    print(", ".join(sorted(tools)))
    for name in ("work_add", "home_add"):
        result = await tools[name].ainvoke({"a": 1, "b": 2})
        print(f"{name}: {result}")


asyncio.run(main(sys.argv[1]))
