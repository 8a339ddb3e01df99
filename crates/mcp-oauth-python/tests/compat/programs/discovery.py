"""Shows the endpoints of a server."""

import asyncio
import sys

from mcp_client_oauth.compat import MCPOAuthClient


async def main(url: str) -> None:
    client = MCPOAuthClient(server_url=url, redirect_uri="http://localhost:8080/callback")
    metadata = await client.discover_authorization_server()
    for endpoint in (
        metadata.authorization_endpoint,
        metadata.token_endpoint,
        metadata.registration_endpoint or "",
    ):
        print("endpoint /", endpoint.rsplit("/", 1)[-1], sep="")
    print("scopes:", isinstance(metadata.scopes_supported, list))
    print("PKCE:", *metadata.code_challenge_methods_supported)


asyncio.run(main(sys.argv[1]))
