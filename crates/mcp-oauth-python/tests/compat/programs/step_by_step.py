"""Each step of a login by itself."""

import asyncio
import sys

from mcp_client_oauth.compat import MCPOAuthClient


async def main(url: str, redirect_uri: str) -> None:
    client = MCPOAuthClient(server_url=url, redirect_uri=redirect_uri)
    metadata = await client.discover_authorization_server()
    print("discovered:", bool(metadata.authorization_endpoint and metadata.token_endpoint))
    client_info = await client.register_client(client_name="My App", redirect_uris=[redirect_uri])
    print("registered:", bool(client_info["client_id"]))
    tokens = await client.authorize(scopes=["notes:read"])
    print("header:", tokens.get_authorization_header()[:7])
    if not tokens.is_expired():
        new = await client.refresh_token(tokens.refresh_token or "")
        print("refreshed:", new.access_token != tokens.access_token)
        print(
            "revoked:", await client.revoke_token(new.access_token, token_type_hint="access_token")
        )


asyncio.run(main(sys.argv[1], sys.argv[2]))
