"""Falls back to endpoints of the program, where discovery fails."""

import asyncio
import sys

from mcp_client_oauth.compat import MCPOAuthClient, OAuthHandler
from mcp_client_oauth.compat.exceptions import DiscoveryError


async def main(url: str, authorize: str, token: str) -> None:
    handler = OAuthHandler()
    try:
        await handler.ensure_authenticated_mcp(server_name="server", server_url=url)
    except DiscoveryError:
        print("no metadata")
    client = MCPOAuthClient(
        server_url=url,
        authorization_url=authorize,
        token_url=token,
        redirect_uri="http://127.0.0.1:8080/callback",
    )
    print("manual:", client.redirect_uri)


asyncio.run(main(*sys.argv[1:]))
