"""The calls of a handler: headers, the header alone, and the two kinds of logout."""

import asyncio
import sys

from mcp_client_oauth.compat import OAuthHandler


async def main(url: str) -> None:
    handler = OAuthHandler()
    print("before:", handler.get_authorization_header("notes"))
    await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
    print("header:", (handler.get_authorization_header("notes") or "")[:7])
    extra = {"X-Custom": "value"}
    headers = await handler.prepare_headers_for_mcp_server("notes", url, extra_headers=extra)
    print("headers:", *sorted(headers), "unchanged:", extra == {"X-Custom": "value"})
    handler.clear_tokens("notes")
    print("cleared:", handler.get_authorization_header("notes"))
    await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
    await handler.logout("notes")
    await handler.ensure_authenticated_mcp("notes", url, scopes=["notes:read"])
    await handler.logout(server_name="notes", server_url=url)
    print("logged out:", handler.get_authorization_header("notes"))
    print("stored:", handler.token_manager.load_tokens("notes"))


asyncio.run(main(sys.argv[1]))
