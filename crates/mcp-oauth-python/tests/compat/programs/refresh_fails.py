"""A refresh token that the server no longer accepts: the program clears the tokens and logs in again."""

import asyncio
import sys

from mcp_client_oauth.compat import MCPOAuthClient, OAuthHandler
from mcp_client_oauth.compat.exceptions import TokenRefreshError


async def main(url: str) -> None:
    handler = OAuthHandler()
    old = await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
    print("ready")
    sys.stdin.readline()  # Now all tokens are revoked.
    client = MCPOAuthClient(server_url=url, redirect_uri="http://127.0.0.1:8080/callback")
    await client.discover_authorization_server()
    await client.register_client()
    try:
        await client.refresh_token(old.refresh_token or "")
    except TokenRefreshError:
        print("refresh failed")
        handler.clear_tokens("notes")
        new = await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
        print("logged in again:", new.access_token != old.access_token)


asyncio.run(main(sys.argv[1]))
