"""A login at an authorization server that the program configures."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthConfig, OAuthHandler


async def main(url: str, authorize: str, token: str, client_id: str, redirect_uri: str) -> None:
    config = OAuthConfig(
        authorization_url=authorize,
        token_url=token,
        client_id=client_id,
        scopes=["notes:read"],
        redirect_uri=redirect_uri,
        server_url=url,
    )
    handler = OAuthHandler()
    headers = await handler.prepare_headers_with_oauth_config("server", config)
    print("header:", headers["Authorization"][:7])
    again = await OAuthHandler().prepare_headers_with_oauth_config("server", config)
    print("same token:", headers == again)


asyncio.run(main(*sys.argv[1:]))
