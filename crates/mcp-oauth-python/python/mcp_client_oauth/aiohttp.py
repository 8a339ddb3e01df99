"""OAuth for aiohttp 3.12 and later: ``aiohttp.ClientSession(middlewares=[OAuth(session)])``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._plugin import Plugin

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse

__all__ = ["OAuth"]


class OAuth(Plugin):
    """Sends each request with the token of a session.

    A token that the server refuses is replaced, and the request is sent again, once. If the scope of the
    token is insufficient, a session that logs in on demand requests a wider one. Bodies are streamed; a
    request with a streamed body is not sent again.

    The token is sent to the resource of the session only: a request to any other URL raises
    ``AuthorizationError``, also a redirect; ``allow_redirects=False`` returns the redirect instead.

    ::

        session = await Client().login("https://mcp.example.com/mcp")
        async with aiohttp.ClientSession(middlewares=[OAuth(session)]) as http:
            async with http.get("https://mcp.example.com/mcp/notes") as response:
                print(await response.text())
    """

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Sends a request, as a middleware."""
        authorization = self._session.authorize(request.method, str(request.url))
        headers = await authorization.headers()
        while True:
            request.headers.update(headers)
            response = await handler(request)
            again = await authorization.response(
                response.status, response.raw_headers, can_retry=_can_retry(request)
            )
            if again is None:
                return response
            response.release()
            headers = again


def _can_retry(request: ClientRequest) -> bool:
    """Returns whether the request can be sent again: the body of a generator is gone."""
    return not getattr(request.body, "consumed", False)
