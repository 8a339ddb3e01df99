"""Tokens by name."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

from .. import Client, TokenStorageError
from .mcp_oauth import DynamicClientRegistration
from .oauth_config import OAuthTokens
from .old_logins import SERVICE, MoveOldLogins, OldLogin, OldStore
from .stores import old_directory
from .token_registry import TokenRegistry
from .token_store_factory import TokenStoreBackend, TokenStoreFactory

logger = logging.getLogger(__name__)


class TokenManager:
    """Stores tokens by name, with the store that was requested.

    `move_old_logins` says what happens to a login that the old library has stored, when the program first
    uses its name: `True` moves it over, `False` ignores it, and a function is called with the login, on
    another thread, and decides. Without it nothing is moved, and a log record says that there is one. The
    old files stay as they are.

    The methods block; in a coroutine, use `OAuthHandler`.
    """

    def __init__(
        self,
        token_dir: Path | None = None,
        backend: TokenStoreBackend = TokenStoreBackend.AUTO,
        password: str | None = None,
        service_name: str | None = None,
        namespace: str = "oauth",
        backend_config: dict[str, Any] | None = None,
        *,
        move_old_logins: MoveOldLogins | None = None,
        **vault: str | None,
    ) -> None:
        self.namespace = namespace
        options: dict[str, Any] = {**(backend_config or {}), **vault}
        unknown = set(options) - {
            f"vault_{name}" for name in ("url", "token", "mount_point", "path_prefix", "namespace")
        }
        if unknown:
            raise TypeError(f"TokenManager has no option {', '.join(sorted(unknown))}")
        if backend == TokenStoreBackend.VAULT:
            options.setdefault("vault_path_prefix", f"{namespace}/oauth")
        self.token_store = TokenStoreFactory.create(
            backend, token_dir, password, service_name, **options
        )
        self.registry = TokenRegistry(store=self.token_store)
        self.token_dir = Path(token_dir) if token_dir is not None else old_directory()
        self._move = move_old_logins
        password = password or os.environ.get("MCP_CLI_ENCRYPTION_KEY")
        self._old = OldStore(self.token_dir, password, service_name or SERVICE)
        self._noted: set[str] = set()

    @property
    def client(self) -> Client:
        """Returns the client over the same store."""
        return self.token_store.client

    def save_tokens(self, server_name: str, tokens: OAuthTokens) -> None:
        """Stores tokens: in the login of the name if there is one, else until the name gets a URL."""
        self.token_store.store_token(server_name, tokens)

    def load_tokens(self, server_name: str) -> OAuthTokens | None:
        """Returns the tokens of a name, or none."""
        return self.token_store.retrieve_token(server_name)

    def has_valid_tokens(self, server_name: str) -> bool:
        """Returns whether there are tokens of a name that have not expired."""
        tokens = self.load_tokens(server_name)
        return tokens is not None and not tokens.is_expired()

    def delete_tokens(self, server_name: str) -> bool:
        """Removes the tokens of a name, without the server. Returns whether there were any."""
        return self.token_store.delete_token(server_name)

    def save_client_registration(
        self, server_name: str, registration: DynamicClientRegistration
    ) -> None:
        """Stores the client of a name, encrypted, until the name has a login, which has its own client."""
        self.token_store._logins.save_client(server_name, registration.model_dump()).wait()

    def load_client_registration(self, server_name: str) -> DynamicClientRegistration | None:
        """Returns the client of a name, or none."""
        client = self.token_store._logins.load_client(server_name).wait()
        return None if client is None else DynamicClientRegistration.model_validate(client)

    def delete_client_registration(self, server_name: str) -> bool:
        """Removes the client of a name that has no login. Returns whether there was one."""
        return self.token_store._logins.delete_client(server_name).wait()

    async def prepare(self, server_name: str, server_url: str) -> None:
        """Makes the tokens of a name a login at `server_url`: those of `save_tokens`, and old ones."""
        logins = self.token_store._logins
        if not await logins.has_login(server_name, server_url):
            await asyncio.to_thread(self._move_old, server_name, server_url)
            await logins.bind(server_name, server_url)

    def _move_old(self, server_name: str, server_url: str) -> None:
        """Moves the login that the old library has stored under this name, if the program agrees."""
        if self._move is False or server_name in self._noted:
            return
        if not self._old.has(server_name) or self.token_store._logins.is_moved(server_name).wait():
            return
        if self._move is None:
            self._noted.add(server_name)
            logger.warning(
                "%s has a login of chuk-mcp-client-oauth in %s, which is not used; to move it over, "
                "pass TokenManager(move_old_logins=True), to ignore it, move_old_logins=False",
                server_name,
                self._old.directory,
            )
            return
        login = self._old.read(server_name, server_url)
        if login is not None:
            self._move_one(login, self._move)

    def _move_one(self, login: OldLogin, move: MoveOldLogins) -> None:
        if login.error is not None or login.tokens is None:
            self._noted.add(login.name)
            logger.warning("%s: its old login is not moved: %s", login.name, login.error)
            return
        if callable(move) and not move(login):
            self._noted.add(login.name)
            return
        logins = self.token_store._logins
        client = None if login.registration is None else login.registration.model_dump()
        if logins.move_old(login.name, login.tokens.model_dump(), client).wait():
            logger.info("%s: its login was moved from %s", login.name, login.location)


__all__ = ["TokenManager", "TokenStorageError"]
