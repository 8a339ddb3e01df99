"""OAuth for httpx2: ``httpx2.AsyncClient(auth=OAuth(session))``."""

from __future__ import annotations

import httpx2

from ._httpx_flow import HttpxFlow

__all__ = ["OAuth"]


class OAuth(HttpxFlow[httpx2.Request, httpx2.Response], httpx2.Auth):
    """Sends each request with the token of a session.

    It is for ``httpx2.AsyncClient`` and ``httpx2.Client``, and for any library that takes an ``httpx2.Auth``.
    A token that the server refuses is replaced, and the request is sent again, once. If the scope of the
    token is insufficient, a session that logs in on demand requests a wider one. Bodies are streamed; a
    request with a streamed body is not sent again.

    The token is sent to the resource of the session only: a request to any other URL raises
    ``AuthorizationError``. When a redirect leaves the origin, httpx2 removes the token.

    ::

        session = await Client().login("https://mcp.example.com/mcp")
        async with httpx2.AsyncClient(auth=OAuth(session)) as http:
            response = await http.get("https://mcp.example.com/mcp/notes")
    """
