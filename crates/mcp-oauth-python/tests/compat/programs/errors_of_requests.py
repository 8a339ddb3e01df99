"""Handles a 401 response itself, and an error status."""

import asyncio
import sys

import httpx

from mcp_client_oauth.compat import OAuthHandler


async def main(url: str) -> None:
    handler = OAuthHandler()
    await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
    print("ready")
    sys.stdin.readline()  # Now the token is revoked.
    try:
        await handler.authenticated_request("notes", url, url=f"{url}/notes", retry_on_401=False)
    except httpx.HTTPStatusError as error:
        print("status", error.response.status_code)
    response = await handler.authenticated_request("notes", url, url=f"{url}/notes")
    print("status", response.status_code)
    try:
        await handler.authenticated_request("notes", url, url=f"{url}/no-such-path")
    except httpx.HTTPStatusError as error:
        print("status", error.response.status_code)


asyncio.run(main(sys.argv[1]))
