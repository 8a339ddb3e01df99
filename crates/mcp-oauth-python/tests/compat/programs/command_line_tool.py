"""What a command line tool does: logs in, and shows the lifetime of the token."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler, OAuthTokens


async def connect(name: str, url: str) -> OAuthTokens:
    handler = OAuthHandler()
    tokens = await handler.ensure_authenticated_mcp(
        server_name=name, server_url=url, scopes=["notes:read"]
    )
    if tokens.is_expired():
        print("expired")
    return tokens


tokens = asyncio.run(connect("notes", sys.argv[1]))
print("expires in", tokens.expires_in)
