"""A session with an MCP server: initialize, the notification, and the list of its tools."""

import asyncio
import sys
import uuid
from typing import Any

from mcp_client_oauth.compat import OAuthHandler, parse_sse_json


async def main(url: str) -> None:
    handler = OAuthHandler()
    await handler.ensure_authenticated_mcp(
        server_name="notes", server_url=url, scopes=["notes:read"]
    )
    session_id = str(uuid.uuid4())

    async def post(message: dict[str, Any], timeout: float, **extra: str) -> Any:
        return await handler.authenticated_request(
            server_name="notes",
            server_url=url,
            url=url,
            method="POST",
            json={"jsonrpc": "2.0", **message},
            headers={
                "Accept": "application/json, text/event-stream",
                "Content-Type": "application/json",
                **extra,
            },
            timeout=timeout,
        )

    started = await post(
        {
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2024-11-05",
                "capabilities": {"roots": {"listChanged": True}},
                "clientInfo": {"name": "program", "version": "1.0.0"},
            },
        },
        timeout=60.0,
    )
    session_id = started.headers.get("mcp-session-id", session_id)
    session = {"Mcp-Session-Id": session_id}
    await post({"method": "notifications/initialized"}, timeout=30.0, **session)
    response = await post({"id": 2, "method": "tools/list", "params": {}}, timeout=30.0, **session)
    if "text/event-stream" in response.headers.get("content-type", ""):
        data = parse_sse_json(response.text.strip().splitlines())
    else:
        data = response.json()
    print("tools:", *sorted(tool["name"] for tool in data["result"]["tools"]))


asyncio.run(main(sys.argv[1]))
