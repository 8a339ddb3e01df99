"""The kinds of stores, and the function that opens one."""

from __future__ import annotations

import enum
import os
import sys
from pathlib import Path

from .. import _native
from . import stores
from .secure_token_store import SecureTokenStore


class TokenStoreBackend(str, enum.Enum):
    """The kind of a store."""

    KEYCHAIN = "keychain"
    CREDENTIAL_MANAGER = "windows"
    SECRET_SERVICE = "secretservice"
    VAULT = "vault"
    ENCRYPTED_FILE = "encrypted"
    AUTO = "auto"
    #: Another name of `SECRET_SERVICE`.
    LINUX_SECRET_SERVICE = "secretservice"


class TokenStoreFactory:
    """Opens stores."""

    @staticmethod
    def create(
        backend: TokenStoreBackend = TokenStoreBackend.AUTO,
        token_dir: Path | None = None,
        password: str | None = None,
        service_name: str | None = None,
        vault_url: str | None = None,
        vault_token: str | None = None,
        vault_mount_point: str = "secret",
        vault_path_prefix: str = "mcp-cli/oauth",
        vault_namespace: str | None = None,
    ) -> SecureTokenStore:
        """Opens the store that was requested, or raises `TokenStorageError`: never another one."""
        backend = TokenStoreBackend(backend)
        if backend is TokenStoreBackend.VAULT:
            return stores.VaultTokenStore(
                vault_url,
                vault_token,
                mount_point=vault_mount_point,
                path_prefix=vault_path_prefix,
                namespace=vault_namespace,
            )
        if backend in _KEYCHAINS:
            opened = getattr(stores, _KEYCHAINS[backend])
            return opened(service_name, token_dir=token_dir)  # type: ignore[no-any-return]
        return stores.EncryptedFileTokenStore(token_dir, password, service_name=service_name)

    @staticmethod
    def _detect_backend() -> TokenStoreBackend:
        """Returns what `AUTO` opens for a new store."""
        return TokenStoreFactory.get_available_backends()[0]

    @staticmethod
    def get_available_backends() -> list[TokenStoreBackend]:
        """Returns the stores of this machine, the best first.

        Vault is one of them if `VAULT_ADDR` and `VAULT_TOKEN` are set.
        """
        available = [TokenStoreBackend.ENCRYPTED_FILE]
        if os.environ.get("VAULT_ADDR") and os.environ.get("VAULT_TOKEN"):
            available.insert(0, TokenStoreBackend.VAULT)
        if is_secure_backend_available():
            available.insert(0, platform_keychain())
        return available


def is_secure_backend_available() -> bool:
    """Returns whether the keychain of this system responds. The user is not asked to unlock it."""
    return _native.keychain_available().wait()


def platform_keychain() -> TokenStoreBackend:
    """Returns the kind of keychain that this system has."""
    if sys.platform == "darwin":
        return TokenStoreBackend.KEYCHAIN
    if sys.platform == "win32":
        return TokenStoreBackend.CREDENTIAL_MANAGER
    return TokenStoreBackend.SECRET_SERVICE


_KEYCHAINS = {
    TokenStoreBackend.KEYCHAIN: "KeychainTokenStore",
    TokenStoreBackend.CREDENTIAL_MANAGER: "CredentialManagerTokenStore",
    TokenStoreBackend.SECRET_SERVICE: "SecretServiceTokenStore",
}
