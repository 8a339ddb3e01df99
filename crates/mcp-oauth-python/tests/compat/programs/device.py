"""Logs in without a browser on this machine."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler


async def main(url: str) -> None:
    handler = OAuthHandler()
    await handler.ensure_authenticated_mcp_device(
        server_name="notes",
        server_url=url,
        scopes=["notes:read"],
        prompt=lambda code, where: print("code", code, where, flush=True),
    )
    headers = await handler.prepare_headers_for_mcp_server("notes", url)
    print("header:", headers["Authorization"][:7])


asyncio.run(main(sys.argv[1]))
