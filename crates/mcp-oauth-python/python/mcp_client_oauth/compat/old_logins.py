"""The stored logins of `chuk-mcp-client-oauth` 0.4: reads them, and changes none.

A login is a Fernet token `NAME.enc` in the directory of the tokens, or an entry of the keychain. Neither has
the URL of its server: the program names it when it uses the login.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import TokenStorageError, _native
from .mcp_oauth import DynamicClientRegistration
from .oauth_config import OAuthTokens
from .stores import old_directory

#: No file of the old library is larger: two tokens of 16 KiB, encrypted, in base64.
LIMIT = 64 * 1024
SERVICE = "chuk-oauth"


@dataclass(frozen=True)
class OldLogin:
    """A stored login of the old library."""

    name: str
    #: The file or the keychain entry.
    location: str
    #: The URL that the program uses the name for now; none in a list.
    server_url: str | None = None
    #: The reason if it cannot be read.
    error: TokenStorageError | None = None
    tokens: OAuthTokens | None = field(default=None, repr=False)
    registration: DynamicClientRegistration | None = field(default=None, repr=False)


#: Decides whether a login is moved over: a constant, or a function that is called for each login.
MoveOldLogins = bool | Callable[[OldLogin], bool]


@dataclass(frozen=True)
class OldStore:
    """Where the old library stored logins, and what is needed to read them."""

    directory: Path
    password: str | None = field(default=None, repr=False)
    service: str | None = None

    @property
    def registry(self) -> Path:
        """Returns the list of names. The old library has one for all directories."""
        return old_directory().parent / "token_registry.json"

    def names(self) -> list[str]:
        """Returns the names of the logins in files, sorted; of a file that no list names, the file name."""
        listed = {_file_name(name): name for name in self._registered()}
        return sorted(listed.get(path.name, path.stem) for path in self._files())

    def has(self, name: str) -> bool:
        """Returns whether there seems to be a login of this name. No keychain is read."""
        return os.path.isfile(self.directory / _file_name(name)) or name in self._registered()

    def read(self, name: str, server_url: str | None = None) -> OldLogin | None:
        """Returns the login of a name: from its file, else from the keychain. It may have an error."""
        path = self.directory / _file_name(name)
        location = str(path)
        try:
            text: str | None
            self._check_unique(name)
            # It is false where the directory cannot be read.
            if os.path.isfile(path):
                text = self._decrypt(path)
            elif self.service is not None:
                location = f"the keychain entry {_safe(name, '-_:')} of the service {self.service}"
                text = _read_keychain(self.service, _safe(name, "-_:"))
            else:
                return None
            if text is None:
                return None
            tokens = _tokens(text)
        except TokenStorageError as error:
            return OldLogin(name, location, server_url, error)
        return OldLogin(name, location, server_url, None, tokens, self._registration(name))

    def _check_unique(self, name: str) -> None:
        """Checks that no other name has the same file, because the server of its tokens is then not known."""
        others = [
            other
            for other in self._registered()
            if other != name and _file_name(other) == _file_name(name)
        ]
        if others:
            raise TokenStorageError(
                f"the old library stores {name} and {', '.join(others)} in the same file",
                "reconfigure",
            )

    def _decrypt(self, path: Path) -> str:
        if self.password is None:
            raise TokenStorageError(
                f"cannot read {path}: it is encrypted with a password; pass it as password=, "
                "or set MCP_CLI_ENCRYPTION_KEY",
                "reconfigure",
            )
        token = _read(path)
        try:
            return self._key.decrypt(token)
        except ValueError as error:
            raise TokenStorageError(f"cannot read {path}: {error}", "reconfigure") from None

    @functools.cached_property
    def _key(self) -> _native.OldKey:
        return _native.OldKey(self.password or "", _read(self.directory / ".salt"))

    def _registration(self, name: str) -> DynamicClientRegistration | None:
        """Returns the client of a login, if it can be read: it is needed only to refresh the tokens."""
        path = self.directory / f"{_safe(name, '-_')}_client.json"
        try:
            data = json.loads(_read(path))
            client = DynamicClientRegistration.model_validate(data)
        except (TokenStorageError, ValueError):
            return None
        return client if isinstance(client.client_id, str) and client.client_id else None

    def _files(self) -> Iterator[Path]:
        try:
            yield from (
                path
                for path in self.directory.iterdir()
                if path.suffix == ".enc" and os.path.isfile(path)
            )
        except OSError:
            return

    def _registered(self) -> list[str]:
        """Returns the names in the list, which may be missing or corrupt."""
        try:
            entries = json.loads(_read(self.registry))
        except (TokenStorageError, ValueError):
            return []
        if not isinstance(entries, dict):
            return []
        listed = [entry.get("name") for entry in entries.values() if isinstance(entry, dict)]
        return [name for name in listed if isinstance(name, str)]


def old_logins(
    token_dir: Path | str | None = None,
    *,
    password: str | None = None,
    service_name: str | None = None,
) -> list[OldLogin]:
    """Returns the stored logins of the old library, sorted by name. One that cannot be read has its `error`.

    A keychain cannot be listed: its entries are found for the names that the old library has listed.
    """
    directory = Path(token_dir) if token_dir is not None else old_directory()
    store = OldStore(
        directory, password or os.environ.get("MCP_CLI_ENCRYPTION_KEY"), service_name or SERVICE
    )
    logins = (store.read(name) for name in sorted({*store.names(), *store._registered()}))
    return [login for login in logins if login is not None]


def _tokens(text: str) -> OAuthTokens:
    """Returns the tokens in the JSON text of a login, which may be corrupt or forged."""
    try:
        data: Any = json.loads(text)
        if not isinstance(data, dict):
            raise ValueError
        for name in ("access_token", "token_type"):
            if not isinstance(data.get(name), str):
                raise ValueError
        for name in ("refresh_token", "scope"):
            if not isinstance(data.get(name), str | None):
                raise ValueError
        # Without a time of issue the token may have expired long ago.
        data["issued_at"] = float(data.get("issued_at") or 0)
        return OAuthTokens.model_validate(data)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise TokenStorageError("its content is not a login of chuk-mcp-client-oauth") from None


def _read_keychain(service: str, account: str) -> str | None:
    if sys.platform == "win32":
        # How the package keyring names an entry of the Credential Manager depends on the other entries.
        keyring = importlib.import_module("keyring")
        text: str | None = keyring.get_password(service, account)
        return text
    return _native.read_keychain(service, account).wait()


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise TokenStorageError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > LIMIT:
        raise TokenStorageError(f"cannot read {path}: it is larger than {LIMIT} bytes")
    return data


def _file_name(name: str) -> str:
    return f"{_safe(name, '-_:')}.enc"


def _safe(name: str, also: str) -> str:
    """Returns the name as the old library writes it: two names may become one."""
    return "".join(c if c.isalnum() or c in also else "_" for c in name)
