"""The user declines."""

import asyncio
import sys

from mcp_client_oauth.compat import MCPOAuthClient
from mcp_client_oauth.compat.exceptions import AuthorizationError


async def main(url: str) -> None:
    client = MCPOAuthClient(server_url=url)
    try:
        await client.authorize(scopes=["notes:read"])
    except AuthorizationError as error:
        print("declined:", "denied" in str(error).lower())


asyncio.run(main(sys.argv[1]))
