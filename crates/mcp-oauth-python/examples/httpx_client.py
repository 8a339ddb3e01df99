"""Sends requests with httpx: a login, a request, and a stream.

python httpx_client.py https://mcp.example.com/mcp
"""

import asyncio
import sys

import httpx

from mcp_client_oauth import Client, OAuthError
from mcp_client_oauth.httpx import OAuth


async def main(url: str) -> None:
    session = await Client().login(url, scope="notes:read")
    async with httpx.AsyncClient(auth=OAuth(session)) as http:
        notes = await http.get(f"{url}/notes")
        print(notes.json())

        try:
            await http.post(f"{url}/notes", json={"text": "bread"})
        except OAuthError as error:
            print(f"{error} ({error.remedy})")

        call = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}
        accept = {"accept": "application/json, text/event-stream"}
        async with http.stream("POST", url, json=call, headers=accept) as events:
            async for line in events.aiter_lines():
                print(line)


INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "httpx example", "version": "1"},
}

asyncio.run(main(sys.argv[1]))
