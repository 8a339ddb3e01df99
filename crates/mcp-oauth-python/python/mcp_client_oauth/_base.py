"""What the clients and sessions for asyncio and for threads have in common."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timezone

from . import _native
from ._authorization import Authorization
from ._interaction import DeviceCode


class BaseClient:
    """The part of a client that does not wait."""

    def __init__(
        self,
        *,
        store: str | os.PathLike[str] = "auto",
        password: str | None = None,
        client_name: str | None = None,
        client_metadata_url: str | None = None,
        client_metadata_key: str | None = None,
        public_networks_only: bool = False,
        on_authorization_url: Callable[[str], object] | None = None,
        on_device_code: Callable[[DeviceCode], object] | None = None,
    ) -> None:
        """Creates a client. Nothing is opened before it is used.

        Args:
            store: Where logins are stored: ``"auto"`` (the best local store of this machine: encrypted
                files, with their key in the keychain if there is one), ``"file:DIRECTORY"``,
                ``"keychain"``, ``"vault:https://HOST:8200/MOUNT/PREFIX"``, or ``"memory"``, which ends with
                the process. The command ``mcp-oauth`` uses the same stores.
            password: The password of the encrypted files, for ``"auto"`` and ``"file"``.
            client_name: The name of the application on the consent page.
            client_metadata_url: The https URL of the client metadata document that the application hosts.
            client_metadata_key: The private key of that document, as PKCS#8 in PEM.
            public_networks_only: Limits every request to public addresses with https: for an application
                that lets its users enter server URLs.
            on_authorization_url: Called with the URL at which the user logs in, on another thread. Without
                it, the browser is opened, and the URL is written to stderr too.
            on_device_code: Called with the code to show, on another thread. Without it, the code is
                written to stderr.

        Raises:
            ValueError: There is no such store, or it has no password.
        """
        self._native = _native.Client(
            store=os.fspath(store),
            password=password,
            client_name=client_name,
            client_metadata_url=client_metadata_url,
            client_metadata_key=client_metadata_key,
            public_networks_only=public_networks_only,
            on_authorization_url=on_authorization_url,
            on_device_code=on_device_code,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} store={self._native.store!r}>"


class BaseSession:
    """The part of a session that does not wait."""

    def __init__(self, native: _native.Session) -> None:
        self._native = native

    def __repr__(self) -> str:
        account = f" account={self.account!r}" if self.account is not None else ""
        return f"<{type(self).__qualname__} {self.url}{account}>"

    @property
    def url(self) -> str:
        """The server URL."""
        return self._native.url

    @property
    def account(self) -> str | None:
        """The account, if the login has one."""
        return self._native.account

    @property
    def is_reused(self) -> bool:
        """Says whether the login was stored before: the user was not involved."""
        return self._native.is_reused

    @property
    def return_to(self) -> str | None:
        """The path of the application to return to, which ``begin`` was given. A redirect to it stays
        within the application."""
        return self._native.return_to

    @property
    def scope(self) -> str | None:
        """The granted scope, or the requested one if the server did not return it."""
        return self._native.scope

    @property
    def missing_scope(self) -> str | None:
        """The part of the requested scope that was not granted."""
        return self._native.missing_scope

    @property
    def expires_at(self) -> datetime | None:
        """The time at which the access token expires, if the server sent one."""
        at = self._native.expires_at
        return None if at is None else datetime.fromtimestamp(at, timezone.utc)

    def cached_header(self) -> str | None:
        """Returns the ``Authorization`` header if the token is valid now, without waiting; else None.

        A token that expires soon is refreshed in the background.
        """
        return self._native.cached_header()

    def authorize(self, method: str, url: str) -> Authorization:
        """Returns the authorization of a request that another HTTP client sends. Nothing is requested before
        it is used."""
        return Authorization(self._native, method, url)
