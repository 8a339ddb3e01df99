"""The authorization of a request that another HTTP client sends."""

from __future__ import annotations

from collections.abc import Iterable

from . import _native

RawHeaders = Iterable[tuple[str | bytes, str | bytes]]
"""The headers of a response: pairs of name and value."""

_READ = frozenset(("www-authenticate", "dpop-nonce"))


class Authorization:
    """The authorization of one request that another HTTP client sends, in as many attempts as that
    takes.

    ::

        authorization = session.authorize("GET", url)
        headers = await authorization.headers()
        while headers is not None:
            response = await send(method, url, headers)
            headers = await authorization.response(response.status_code, response.headers.items())

    A token that the server refuses is replaced once, a wider scope is requested if the session can log in,
    and a proof is repeated with the nonce of the server. The client must not follow redirects with
    these headers.
    """

    def __init__(self, session: _native.Session, method: str, url: str) -> None:
        self._native = _native.Authorization(session, method, url)

    async def headers(self) -> dict[str, str]:
        """Returns the headers of the first attempt: ``authorization``, and ``dpop`` if the token is bound
        to a key.

        Raises:
            AuthorizationError: The URL is not part of the resource that the token is for, or there is no
                login.
            TokenRefreshError: There is no valid token.
        """
        cached = self._native.cached_headers()
        return dict(await self._native.headers() if cached is None else cached)

    async def response(
        self, status: int, headers: RawHeaders, *, can_retry: bool = True
    ) -> dict[str, str] | None:
        """Takes the response to the last attempt. Returns the headers to send the request with again, or None
        if the response is final.

        Args:
            status: The HTTP status.
            headers: The headers of the response.
            can_retry: False if the body of the request cannot be sent again: then a token that was refused is
                replaced for the next request.

        Raises:
            OAuthError: The token was refused, and there is no other one.
        """
        operation = self._native.response(status, _read(headers), can_retry)
        again = None if operation is None else await operation
        return None if again is None else dict(again)

    def headers_blocking(self) -> dict[str, str]:
        """Does the same as :meth:`headers` without asyncio: it blocks the thread."""
        cached = self._native.cached_headers()
        return dict(self._native.headers().wait() if cached is None else cached)

    def response_blocking(
        self, status: int, headers: RawHeaders, *, can_retry: bool = True
    ) -> dict[str, str] | None:
        """Does the same as :meth:`response` without asyncio: it blocks the thread."""
        operation = self._native.response(status, _read(headers), can_retry)
        again = None if operation is None else operation.wait()
        return None if again is None else dict(again)


def _read(headers: RawHeaders) -> list[tuple[str, str]]:
    """Returns the headers that say why a request was refused."""
    pairs = ((_text(name), value) for name, value in headers)
    return [(name, _text(value)) for name, value in pairs if name.lower() in _READ]


def _text(part: str | bytes) -> str:
    return part if isinstance(part, str) else part.decode("latin-1")
