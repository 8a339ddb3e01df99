"""The flow of ``httpx.Auth``, for httpx and for httpx2: they have the same interface and no common base."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from ._plugin import Plugin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping


class _Headers(Protocol):
    @property
    def raw(self) -> list[tuple[bytes, bytes]]: ...
    def update(self, headers: Mapping[str, str], /) -> None: ...


class _Url(Protocol):
    @property
    def scheme(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int | None: ...


class _Request(Protocol):
    @property
    def content(self) -> bytes: ...
    @property
    def method(self) -> str: ...
    @property
    def url(self) -> _Url: ...
    @property
    def headers(self) -> _Headers: ...


class _Response(Protocol):
    @property
    def headers(self) -> _Headers: ...
    @property
    def request(self) -> _Request: ...
    @property
    def status_code(self) -> int: ...


RequestT = TypeVar("RequestT", bound=_Request)
ResponseT = TypeVar("ResponseT", bound=_Response)


class HttpxFlow(Plugin, Generic[RequestT, ResponseT]):
    """Sends a request with the token, and again when the server refuses it."""

    async def async_auth_flow(self, request: RequestT) -> AsyncGenerator[RequestT, ResponseT]:
        """Authorizes a request of ``AsyncClient``."""
        authorization = self._session.authorize(request.method, str(request.url))
        headers: dict[str, str] | None = await authorization.headers()
        while headers is not None:
            request.headers.update(headers)
            response = yield request
            if not _is_from_origin_of(request, response):
                return
            headers = await authorization.response(
                response.status_code, response.headers.raw, can_retry=_can_retry(request)
            )

    def sync_auth_flow(self, request: RequestT) -> Generator[RequestT, ResponseT, None]:
        """Authorizes a request of ``Client``."""
        authorization = self._session.authorize(request.method, str(request.url))
        headers: dict[str, str] | None = authorization.headers_blocking()
        while headers is not None:
            request.headers.update(headers)
            response = yield request
            if not _is_from_origin_of(request, response):
                return
            headers = authorization.response_blocking(
                response.status_code, response.headers.raw, can_retry=_can_retry(request)
            )


def _is_from_origin_of(request: _Request, response: _Response) -> bool:
    """Returns whether the server of the request has responded.

    With ``follow_redirects`` it can be another one. httpx has sent it no token, so it cannot refuse one.
    """
    if response.request is request:
        return True
    sent, received = request.url, response.request.url
    return (sent.scheme, sent.host, sent.port) == (received.scheme, received.host, received.port)


def _can_retry(request: _Request) -> bool:
    """Returns whether the request can be sent again: the body of a stream is not in memory."""
    try:
        _ = request.content
    except RuntimeError:  # RequestNotRead, of either library
        return False
    return True
