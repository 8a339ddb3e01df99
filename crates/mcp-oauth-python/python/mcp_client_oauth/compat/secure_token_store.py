"""The store of the logins, by the name that the program gives each server."""

from __future__ import annotations

from collections.abc import Callable

from .. import Client, DeviceCode, TokenStorageError, _interaction, _native
from .oauth_config import OAuthTokens

__all__ = ["SecureTokenStore", "TokenStorageError"]


class _Client(Client):
    """A client over a store that no store spec describes."""

    def __init__(self, native: _native.Client) -> None:
        self._native = native


class SecureTokenStore:
    """Logins by name. The store is opened when it is first used.

    The methods block; in a coroutine, use `OAuthHandler`.
    """

    #: The client over the same store.
    client: Client
    #: Shows the code of a device login.
    show_code: Callable[[DeviceCode], object] | None = None
    _logins: _native.NamedLogins

    def _open(self, client: _native.Client) -> None:
        self.client = _Client(client)
        self._logins = _native.NamedLogins(client)

    def _show_code(self, code: DeviceCode) -> None:
        """Shows the code of a device login by the function of the handler, if there is one."""
        show = self.show_code or _interaction.show_code
        show(code)

    def store_token(self, server_name: str, tokens: OAuthTokens) -> None:
        """Stores tokens: in the login of the name if there is one, else until the name gets a URL."""
        self._logins.save(server_name, tokens.model_dump()).wait()

    def retrieve_token(self, server_name: str) -> OAuthTokens | None:
        """Returns the tokens of a name, or none."""
        tokens = self._logins.load(server_name).wait()
        return None if tokens is None else OAuthTokens.model_validate(tokens)

    def delete_token(self, server_name: str) -> bool:
        """Removes the tokens of a name, without the server. Returns whether there were any."""
        return self._logins.delete(server_name).wait()

    def has_token(self, server_name: str) -> bool:
        """Returns whether there are tokens of a name, expired or not."""
        return self._logins.load(server_name).wait() is not None

    def list_keys(self, namespace: str | None = None) -> list[str]:
        """Returns the names, sorted. All names are in the namespace `oauth`."""
        return self._logins.names().wait() if namespace in (None, "oauth") else []

    def clear_all(self, namespace: str | None = None) -> int:
        """Removes the tokens of all names. Returns the number of names."""
        return sum(self.delete_token(name) for name in self.list_keys(namespace))

    def store_generic(self, key: str, value: str, namespace: str = "generic") -> None:
        """Is not supported: the stores hold logins only."""
        raise NotImplementedError(_LOGINS_ONLY)

    def retrieve_generic(self, key: str, namespace: str = "generic") -> str | None:
        """Is not supported: the stores hold logins only."""
        raise NotImplementedError(_LOGINS_ONLY)

    def delete_generic(self, key: str, namespace: str = "generic") -> bool:
        """Is not supported: the stores hold logins only."""
        raise NotImplementedError(_LOGINS_ONLY)


_LOGINS_ONLY = "this store holds logins only; keep other secrets with the package keyring"
