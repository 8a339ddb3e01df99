"""Logs in twice: the second time with the stored tokens."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler


async def log_in(url: str) -> str:
    handler = OAuthHandler()
    tokens = await handler.ensure_authenticated_mcp(
        server_name="notes-mcp", server_url=url, scopes=["notes:read"]
    )
    headers = await handler.prepare_headers_for_mcp_server(server_name="notes-mcp", server_url=url)
    assert headers["Authorization"] == tokens.get_authorization_header()
    return tokens.access_token


async def main(url: str) -> None:
    first, second = await log_in(url), await log_in(url)
    print("same token:", first == second)


asyncio.run(main(sys.argv[1]))
