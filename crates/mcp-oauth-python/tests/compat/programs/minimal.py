"""Logs in, and shows the start of the header. The argument is the URL of the server."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler


async def main(url: str) -> None:
    handler = OAuthHandler()
    await handler.ensure_authenticated_mcp(
        server_name="notes", server_url=url, scopes=["notes:read"]
    )
    headers = await handler.prepare_headers_for_mcp_server("notes", url)
    print("header", headers["Authorization"][:10])


asyncio.run(main(sys.argv[1]))
