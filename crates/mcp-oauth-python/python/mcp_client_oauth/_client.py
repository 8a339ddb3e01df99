"""The client and the session for asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native, _request
from ._base import BaseClient, BaseSession
from ._grants import Grant
from ._request import HeaderTypes, QueryTypes
from ._response import BegunLogin, Login, Logout, Response

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ._options import CommonOptions, LoginOptions


class Client(BaseClient):
    """A client of any number of MCP servers: it logs in, finds stored logins, and removes them.

    ::

        client = Client()
        session = await client.login("https://mcp.example.com/mcp")
        response = await session.get("notes")

    Use one client for the whole program, from any number of tasks and event loops. After a fork, the child
    process opens the store again and makes its own connections.

    As a context manager, it waits at the end until refreshed tokens are saved. The end of the process waits
    for that too, for ten seconds at most.
    """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.flush()

    async def login(
        self,
        url: str,
        *,
        account: str | None = None,
        scope: str | Sequence[str] | None = None,
        grant: Grant = "browser",
        **options: Unpack[LoginOptions],
    ) -> Session:
        """Returns the session of the stored login, or logs in, by default in the browser of the user.

        Cancelling it closes the listener of the browser, and stores nothing.

        Args:
            url: The URL of the MCP server.
            account: The account, if the user has several at the server. Each has its own login.
            scope: The scope to request, instead of the one that the server suggests.
            grant: How tokens are requested.
            options: See :class:`LoginOptions`.

        Raises:
            OAuthError: The subclass says at which step it failed.
            ValueError: An argument is not valid.
        """
        login = _request.login(self._native, url, account, scope, grant, options)
        return Session(await login.run())

    async def session(self, url: str, *, account: str | None = None) -> Session | None:
        """Returns the session of the stored login; None if there is none. It never involves the user.

        Raises:
            TokenStorageError: The store cannot be read.
        """
        found = await _native.Login(self._native, url, account=account).stored()
        return None if found is None else Session(found)

    def on_demand(
        self,
        url: str,
        *,
        account: str | None = None,
        scope: str | Sequence[str] | None = None,
        grant: Grant = "browser",
        **options: Unpack[LoginOptions],
    ) -> Session:
        """Returns a session that opens the stored login when it is first used, and logs in when that is
        necessary: if there is no login, if the issuer finally refuses a refresh, or if the server requires a
        wider scope. If several tasks need a login at once, the user is involved once.

        The arguments are those of :meth:`login`.
        """
        login = _request.login(self._native, url, account, scope, grant, options)
        return Session(login.on_demand())

    async def begin(
        self,
        url: str,
        *,
        redirect_uri: str,
        account: str | None = None,
        scope: str | Sequence[str] | None = None,
        return_to: str | None = None,
        **options: Unpack[CommonOptions],
    ) -> BegunLogin:
        """Begins a login that another request finishes, on any host with the same store: for a web
        application.

        Redirect the browser to its ``url``, and set its ``browser_secret`` as a cookie that is HttpOnly,
        Secure and SameSite=Lax. The login is stored, encrypted, for ten minutes (``timeout``).

        Args:
            url: The URL of the MCP server.
            redirect_uri: The page of the application that calls :meth:`finish`.
            account: The user of the application.
            scope: The scope to request, instead of the one that the server suggests.
            return_to: The path of the application to redirect to at the end, :attr:`Session.return_to`.
            options: See :class:`LoginOptions`.
        """
        merged = {**options, "redirect_uri": redirect_uri}
        login = _request.login(self._native, url, account, scope, "browser", merged, return_to)
        return BegunLogin(*await login.begin())

    async def finish(self, callback_url: str, browser_secret: str) -> Session:
        """Finishes a login that :meth:`begin` began, in any process with the same store.

        If it is cancelled, the login still goes on: its callback can be used only once.

        Args:
            callback_url: The URL of the request to the redirect URI, with its query.
            browser_secret: The value of the cookie of the same browser.

        Raises:
            AuthorizationError: The user denied access, the login has expired, or the callback belongs to
                another browser.
        """
        return Session(await _native.Session.finish(self._native, callback_url, browser_secret))

    async def logins(self) -> list[Login]:
        """Returns all stored logins, sorted."""
        return [Login(url, account) for url, account in await self._native.logins()]

    async def logout(self, url: str, *, account: str | None = None) -> Logout:
        """Removes the tokens of a login, and revokes them at the server (RFC 7009)."""
        return Logout(*await self._native.logout(url, account=account))

    async def remove(self, url: str, *, account: str | None = None) -> bool:
        """Removes the tokens of a login without revoking them. Returns whether there were any."""
        return await self._native.remove(url, account=account)

    async def flush(self) -> None:
        """Waits until every refresh has ended and its tokens are saved."""
        await self._native.flush()


class Session(BaseSession):
    """The session of one login: it sends requests to the server with a valid token.

    A token is refreshed before it expires, by one task of one process, and a refresh goes on if the task that
    waits for it is cancelled. Use a session from any number of tasks and event loops.
    """

    async def header(self) -> str:
        """Returns the ``Authorization`` header with a valid token, which is refreshed if necessary.

        Raises:
            TokenRefreshError: The token has expired, and there is no new one.
            AuthorizationError: There is no login.
        """
        cached = self._native.cached_header()
        return await self._native.header() if cached is None else cached

    async def header_after_rejection(
        self, refused: str, status: int, headers: HeaderTypes = ()
    ) -> str:
        """Returns another header than ``refused``, after a response with this status and these headers.

        If ``refused`` is no longer the current header, the current one is returned, so many tasks may call
        this at once.
        """
        pairs = _request.header_list(headers)
        return await self._native.header_after_rejection(refused, status, pairs)

    async def credentials(self, method: str, url: str) -> dict[str, str]:
        """Returns the headers that authorize one request: ``authorization``, and ``dpop`` if the token is
        bound to a key. They must be sent once, with this method and to this URL only.

        Raises:
            AuthorizationError: ``url`` is not part of the resource that the token is for.
        """
        return dict(await self._native.credentials(method, url))

    async def request(
        self,
        method: str,
        url: str,
        *,
        params: QueryTypes | None = None,
        headers: HeaderTypes | None = None,
        content: bytes | str | None = None,
        data: QueryTypes | None = None,
        json: Any = None,
        timeout: float | None = None,
        retry_on_401: bool = True,
    ) -> Response:
        """Sends a request with a valid token, and reads the whole response, whatever its status.

        A request that the server refuses is sent again with another token. Redirects are not followed,
        because they would send the token to another URL.

        Args:
            method: The method.
            url: The URL, or a path: ``"notes"`` at ``https://host/mcp`` is ``https://host/mcp/notes``, and
                ``"/notes"`` starts at the host. A token is sent only within the resource of the server.
            params: Parameters to append to the query.
            headers: Headers to send. ``Authorization`` is replaced.
            content: The body.
            data: A form as the body.
            json: A value to send as JSON.
            timeout: The seconds that each attempt may take: 30 without it.
            retry_on_401: Says whether a request is sent again with another token.

        Raises:
            NetworkError: There was no response.
            OAuthError: There is no valid token.
        """
        operation = _request.request(
            self._native,
            method,
            url,
            params=params,
            headers=headers,
            content=content,
            data=data,
            json=json,
            timeout=timeout,
            retry_on_401=retry_on_401,
        )
        return Response(*await operation)

    async def get(
        self,
        url: str,
        *,
        params: QueryTypes | None = None,
        headers: HeaderTypes | None = None,
        timeout: float | None = None,
    ) -> Response:
        """Sends a GET request; see :meth:`request`."""
        return await self.request("GET", url, params=params, headers=headers, timeout=timeout)

    async def post(
        self,
        url: str,
        *,
        params: QueryTypes | None = None,
        headers: HeaderTypes | None = None,
        content: bytes | str | None = None,
        data: QueryTypes | None = None,
        json: Any = None,
        timeout: float | None = None,
    ) -> Response:
        """Sends a POST request; see :meth:`request`."""
        return await self.request(
            "POST",
            url,
            params=params,
            headers=headers,
            content=content,
            data=data,
            json=json,
            timeout=timeout,
        )

    async def refresh(self) -> None:
        """Refreshes the token now, even if it has not expired."""
        await self._native.refresh()

    async def logout(self) -> Logout:
        """Removes the tokens of this login, and revokes them at the server (RFC 7009)."""
        return Logout(*await self._native.logout())
