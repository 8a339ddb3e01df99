"""The stores. Tokens are always in encrypted files or in Vault; a keychain holds the key of the files."""

from __future__ import annotations

import os
from pathlib import Path

from .. import TokenStorageError, _native
from .secure_token_store import SecureTokenStore

__all__ = [
    "CredentialManagerTokenStore",
    "EncryptedFileTokenStore",
    "KeychainTokenStore",
    "SecretServiceTokenStore",
    "VaultTokenStore",
]

#: The directory within a `token_dir`. Files of the old library in `token_dir` stay as they are.
SUBDIRECTORY = "mcp-client-oauth"


class EncryptedFileTokenStore(SecureTokenStore):
    """Encrypted files: with a password if one is given, else with the best key that this machine has."""

    def __init__(
        self,
        token_dir: Path | None = None,
        password: str | None = None,
        *,
        service_name: str | None = None,
    ) -> None:
        if password is None:
            password = os.environ.get("MCP_CLI_ENCRYPTION_KEY") or None
        if password is not None and token_dir is None:
            # The store of the library has another key.
            token_dir = old_directory()
        directory = _directory(token_dir, service_name)
        self._open(
            _native.client_with_files(
                directory,
                in_keychain=False,
                password=password,
                service=service_name,
                on_device_code=self._show_code,
            )
        )


class KeychainTokenStore(SecureTokenStore):
    """Encrypted files with a key in the keychain of the system."""

    def __init__(self, service_name: str | None = None, *, token_dir: Path | None = None) -> None:
        directory = _directory(token_dir, service_name)
        self._open(
            _native.client_with_files(
                directory,
                in_keychain=True,
                service=service_name,
                on_device_code=self._show_code,
            )
        )


class CredentialManagerTokenStore(KeychainTokenStore):
    """The same on Windows."""


class SecretServiceTokenStore(KeychainTokenStore):
    """The same on Linux."""


class VaultTokenStore(SecureTokenStore):
    """HashiCorp Vault or OpenBao."""

    def __init__(
        self,
        vault_url: str | None = None,
        vault_token: str | None = None,
        mount_point: str = "secret",
        path_prefix: str = "mcp-cli/oauth",
        namespace: str | None = None,
    ) -> None:
        url = vault_url or os.environ.get("VAULT_ADDR")
        token = vault_token or os.environ.get("VAULT_TOKEN")
        if not url or not token:
            missing = "vault_url or VAULT_ADDR" if not url else "vault_token or VAULT_TOKEN"
            raise TokenStorageError(f"cannot open the Vault: set {missing}")
        self._open(
            _native.client_with_vault(
                url,
                token,
                mount=mount_point,
                prefix=path_prefix,
                namespace=namespace,
                on_device_code=self._show_code,
            )
        )


def _directory(token_dir: Path | None, service_name: str | None) -> Path | None:
    """Returns the directory of the files; none for the one of the library.

    A service name separates the logins of an application, so it has a directory of its own.
    """
    if service_name is None:
        return None if token_dir is None else Path(token_dir) / SUBDIRECTORY
    name = "".join(c if c.isalnum() or c in "-_." else "_" for c in service_name)
    return Path(token_dir or old_directory()) / f"{SUBDIRECTORY}-{name}"


def old_directory() -> Path:
    """Returns the directory where the old library stores tokens by default."""
    return Path.home() / ".chuk_oauth" / "tokens"
