"""Logins by the names that a program gives its servers."""

from __future__ import annotations

import asyncio
import logging
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Literal

from .. import Logout, Session, _native
from .exceptions import DiscoveryError, NetworkError, TokenExchangeError, status_error, step
from .oauth_config import OAuthConfig, OAuthTokens
from .oauth_flow import flow_of, scope_of
from .token_manager import TokenManager

logger = logging.getLogger(__name__)

#: What `authenticated_request` passes on to the session.
_PASSED = ("json", "content", "data", "params", "headers", "timeout")


class OAuthHandler:
    """Logs in to MCP servers, and sends requests with their tokens.

    A name is an account: two names for one URL are two logins, and a name that gets another URL finds no
    tokens there.
    """

    def __init__(self, token_manager: TokenManager | None = None) -> None:
        self.token_manager = token_manager or TokenManager()
        #: By name and URL.
        self._open: dict[str, dict[str, _Open]] = {}
        self._locks: weakref.WeakKeyDictionary[Any, dict[tuple[str, ...], asyncio.Lock]]
        self._locks = weakref.WeakKeyDictionary()

    async def ensure_authenticated_mcp(
        self, server_name: str, server_url: str, scopes: list[str] | None = None
    ) -> OAuthTokens:
        """Returns valid tokens: stored ones, refreshed if necessary, or those of a login in the browser.

        Scopes that the stored login does not have lead to a new login. Raises an `OAuthError`.
        """
        return _tokens(await self._session(server_name, server_url, scopes))

    async def ensure_authenticated_mcp_device(
        self,
        server_name: str,
        server_url: str,
        scopes: list[str] | None = None,
        prompt: Callable[[str, str], object] | None = None,
    ) -> OAuthTokens:
        """Does the same without a browser: `prompt` is called with a code, and the URL to enter it at."""
        store = self.token_manager.token_store
        if prompt is not None:
            store.show_code = lambda code: prompt(code.user_code, code.verification_uri)
        return _tokens(await self._session(server_name, server_url, scopes, "device_code"))

    async def ensure_authenticated(
        self, server_name: str, oauth_config: OAuthConfig
    ) -> OAuthTokens:
        """Does the same at an authorization server that the program configures."""
        return _tokens(await self._configured(server_name, oauth_config))

    def get_authorization_header(self, server_name: str) -> str | None:
        """Returns the `Authorization` header of a name that this handler has logged in, without I/O.

        Returns none if there is no login, or its token has expired; `prepare_headers_for_mcp_server`
        refreshes it. Raises `ValueError` if the name has logins at two servers.
        """
        found = self._open.get(server_name)
        if not found:
            return None
        if len(found) > 1:
            raise ValueError(
                f"{server_name} has several servers ({', '.join(found)}): a token must not go to another one"
            )
        (opened,) = found.values()
        return opened.cached_header()

    def clear_tokens(self, server_name: str) -> None:
        """Removes the tokens of a name from the store, without the server. It blocks."""
        self._open.pop(server_name, None)
        self.token_manager.delete_tokens(server_name)

    async def logout(self, server_name: str, server_url: str | None = None) -> Logout | None:
        """Removes the tokens of a name. With its URL they are also revoked at the server.

        The tokens are removed in any case; the result says whether the server has revoked them.
        """
        self._open.pop(server_name, None)
        manager = self.token_manager
        outcome = None
        if server_url is not None:
            try:
                await manager.prepare(server_name, server_url)
            except (DiscoveryError, NetworkError) as error:
                logger.warning("%s: its tokens are not revoked: %s", server_name, error)
            outcome = await manager.client.logout(server_url, account=server_name)
        await asyncio.to_thread(manager.delete_tokens, server_name)
        return outcome

    async def prepare_headers_for_mcp_server(
        self,
        server_name: str,
        server_url: str,
        scopes: list[str] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Returns the headers of a request: `extra_headers`, which is not changed, and `Authorization`."""
        servers = self._open.get(server_name)
        opened = None if servers is None else servers.get(server_url)
        header = None
        if opened is not None and (not scopes or opened.scopes.issuperset(scopes)):
            header = opened.cached_header()
        if header is None:
            session = await self._session(server_name, server_url, scopes)
            header = await session.header()
        if not extra_headers:
            return {"Authorization": header}
        return _with_authorization(extra_headers, header)

    async def prepare_headers_with_oauth_config(
        self,
        server_name: str,
        oauth_config: OAuthConfig,
        extra_headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Does the same at an authorization server that the program configures."""
        session = await self._configured(server_name, oauth_config)
        return _with_authorization(extra_headers or {}, await session.header())

    async def prepare_server_headers(
        self, server_config: Any, extra_headers: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Does the same for an object with `name`, `url`, `command` and `oauth`.

        A server that is a command needs no headers, unless it has a configuration.
        """
        if server_config.url and not server_config.command:
            return await self.prepare_headers_for_mcp_server(
                server_config.name, server_config.url, extra_headers=extra_headers
            )
        if server_config.oauth is not None:
            return await self.prepare_headers_with_oauth_config(
                server_config.name, server_config.oauth, extra_headers
            )
        return dict(extra_headers or {})

    async def authenticated_request(
        self,
        server_name: str,
        server_url: str,
        url: str,
        method: str = "GET",
        scopes: list[str] | None = None,
        retry_on_401: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Sends a request to the server, and again with a new token if it responds with 401: a refreshed one,
        or one of a new login.

        Takes `json`, `content`, `data`, `params`, `headers` and `timeout`. Returns an `httpx.Response` if the
        program has imported httpx, else a response with the same attributes. `url` must belong to the server:
        a token is sent nowhere else.

        Raises `HTTPStatusError` for an error status, which is also an `httpx.HTTPStatusError` then; an
        `OAuthError` if there is no valid token.
        """
        unknown = set(kwargs).difference(_PASSED)
        if unknown:
            raise TypeError(f"authenticated_request does not support {', '.join(sorted(unknown))}")
        session = await self._session(server_name, server_url, scopes)
        response = await session.request(method, url, retry_on_401=retry_on_401, **kwargs)
        found = _converted(method, url, response)
        if response.status_code >= 400:
            raise status_error(method, url, found)
        return found

    async def _session(
        self,
        server_name: str,
        server_url: str,
        scopes: list[str] | None,
        grant: Literal["browser", "device_code"] = "browser",
    ) -> Session:
        """Returns a session with a valid token. Callers that need the same login share it."""
        async with self._lock(server_name, server_url):
            opened = self._open.get(server_name, {}).get(server_url)
            before = frozenset() if opened is None else opened.scopes
            if opened is not None and before.issuperset(scopes or ()) and opened.cached_header():
                return opened.session
            with step(DiscoveryError):
                await self.token_manager.prepare(server_name, server_url)
                client = self.token_manager.client
                scope = scopes or None
                await client.login(
                    server_url, account=server_name, scope=scope, grant=grant, legacy=True
                )
                # From now on it logs in when that is necessary: a refresh may be refused.
                session = client.on_demand(
                    server_url, account=server_name, scope=scope, grant=grant, legacy=True
                )
                await session.header()
            self._keep(server_name, server_url, _Open(session, before.union(scopes or ())))
            return session

    async def _configured(self, server_name: str, config: OAuthConfig) -> Session:
        server_url = config.server_url or config.token_url
        async with self._lock(server_name, server_url):
            opened = self._open.get(server_name, {}).get(server_url)
            if opened is not None and opened.cached_header():
                return opened.session
            client = self.token_manager.client
            login = flow_of(config, client).login(
                client._native, server_name, config.redirect_uri, scope_of(config)
            )
            with step(TokenExchangeError):
                session = Session(await login)
            self._keep(server_name, server_url, _Open(session, frozenset(config.scopes)))
            return session

    def _keep(self, server_name: str, server_url: str, opened: _Open) -> None:
        self._open.setdefault(server_name, {})[server_url] = opened

    def _lock(self, *key: str) -> asyncio.Lock:
        """Returns the lock of a login. A lock belongs to one event loop."""
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        return locks.setdefault(key, asyncio.Lock())


class _Open:
    """An open session, and the scopes that its login was checked for."""

    __slots__ = ("cached_header", "scopes", "session")

    def __init__(self, session: Session, scopes: frozenset[str]) -> None:
        self.session = session
        self.scopes = scopes
        self.cached_header = session.cached_header


def _tokens(session: Session) -> OAuthTokens:
    return OAuthTokens.model_validate(_native.tokens_of(session._native))


def _with_authorization(extra: Mapping[str, str], header: str) -> dict[str, str]:
    """Returns the headers with this `Authorization`, which replaces one of any case (RFC 9110 §5.1)."""
    headers = {name: value for name, value in extra.items() if name.lower() != "authorization"}
    headers["Authorization"] = header
    return headers


def _converted(method: str, url: str, response: Any) -> Any:
    """Returns the response as the type of the HTTP client that the program uses."""
    httpx = sys.modules.get("httpx")
    if httpx is None:
        return response
    # The body is decoded already; its length and encoding on the wire are no longer true.
    gone = {"content-encoding", "content-length", "transfer-encoding"}
    headers = [
        (name, value) for name, value in response.headers.items() if name.lower() not in gone
    ]
    request = httpx.Request(method, url)
    return httpx.Response(
        response.status_code, headers=headers, content=response.content, request=request
    )
