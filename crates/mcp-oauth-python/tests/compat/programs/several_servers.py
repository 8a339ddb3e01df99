"""A web application with several servers, which sends its own requests."""

import asyncio
import sys

import httpx

from mcp_client_oauth.compat import OAuthHandler, OAuthTokens


class Servers:
    def __init__(self) -> None:
        self.handler = OAuthHandler()
        self.urls: dict[str, str] = {}

    async def add(self, name: str, url: str) -> OAuthTokens:
        tokens = await self.handler.ensure_authenticated_mcp(
            server_name=name, server_url=url, scopes=["notes:read"]
        )
        self.urls[name] = url
        return tokens

    async def call(self, name: str, path: str) -> int:
        headers = await self.handler.prepare_headers_for_mcp_server(
            server_name=name, server_url=self.urls[name]
        )
        async with httpx.AsyncClient() as http:
            response = await http.get(f"{self.urls[name]}{path}", headers=headers)
            return response.status_code


async def main(url: str) -> None:
    servers = Servers()
    first = await servers.add("one", url)
    second = await servers.add("two", url)
    print("two logins:", first.access_token != second.access_token)
    for name in ("one", "two"):
        print(name, await servers.call(name, "/notes"))


asyncio.run(main(sys.argv[1]))
