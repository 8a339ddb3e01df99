"""Keeps the tokens in the keychain of the system."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler, TokenManager, TokenStoreBackend


async def main(url: str) -> None:
    manager = TokenManager(backend=TokenStoreBackend.SECRET_SERVICE)
    handler = OAuthHandler(token_manager=manager)
    tokens = await handler.ensure_authenticated_mcp(
        server_name="notes", server_url=url, scopes=["notes:read"]
    )
    print("logged in:", bool(tokens.access_token))

    # The same with a service name of the application.
    manager = TokenManager(backend=TokenStoreBackend.SECRET_SERVICE, service_name="my-app")
    handler = OAuthHandler(token_manager=manager)
    await handler.ensure_authenticated_mcp(
        server_name="notes", server_url=url, scopes=["notes:read"]
    )
    print("stored for my-app:", manager.has_valid_tokens("notes"))


asyncio.run(main(sys.argv[1]))
