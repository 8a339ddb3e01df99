"""OAuth for requests: ``requests.get(url, auth=OAuth(session))``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.auth import AuthBase

from ._plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

    from . import Authorization

__all__ = ["OAuth"]


class OAuth(Plugin, AuthBase):
    """Sends each request with the token of a session.

    A token that the server refuses is replaced, and the request is sent again, once. If the scope of the
    token is insufficient, a session that logs in on demand requests a wider one.

    The token is sent to the resource of the session only: a request to any other URL raises
    ``AuthorizationError``. A request that follows a redirect has no token.

    ::

        session = sync.Client().login("https://mcp.example.com/mcp")
        response = requests.get("https://mcp.example.com/mcp/notes", auth=OAuth(session))
    """

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Adds the headers and the hook that reads the response."""
        authorization = self._session.authorize(request.method or "GET", request.url or "")
        request.headers.update(authorization.headers_blocking())
        request.register_hook("response", _ResponseHook(authorization, request))
        return request


class _ResponseHook:
    """Sends one request again when its token is refused."""

    def __init__(self, authorization: Authorization, request: PreparedRequest) -> None:
        self._authorization = authorization
        self._url = request.url
        self._rewind = _rewind(request.body)

    def __call__(self, response: Response, **options: Any) -> Response:
        while True:
            request = response.request
            if response.is_redirect:
                # RFC 9700 §4.12: the target of a redirect must not get the token.
                for name in ("Authorization", "DPoP"):
                    request.headers.pop(name, None)
                return response
            if request.url != self._url:
                return response
            headers = self._authorization.response_blocking(
                response.status_code,
                response.headers.items(),
                can_retry=self._rewind is not None,
            )
            if headers is None or self._rewind is None:
                return response
            self._rewind()
            response = _send_again(response, headers, options)


def _send_again(response: Response, headers: dict[str, str], options: dict[str, Any]) -> Response:
    # Reads the body, so that the connection can be used again.
    _ = response.content
    response.close()
    request = response.request.copy()
    request.headers.update(headers)
    again: Response = response.connection.send(request, **options)
    again.history.append(response)
    again.request = request
    return again


def _rewind(body: Any) -> Callable[[], object] | None:
    """Returns what makes a body ready to be sent again; none if it can be sent only once."""
    if body is None or isinstance(body, (bytes, str)):
        return lambda: None
    try:
        start = body.tell()
        body.seek(start)
    except (AttributeError, OSError):
        return None
    return lambda: body.seek(start)
