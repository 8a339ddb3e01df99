"""The names of the stored logins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .secure_token_store import SecureTokenStore
from .token_store_factory import TokenStoreFactory
from .token_types import TokenType


class TokenRegistry:
    """The names of the stored logins, read from the store: there is no list beside it that could differ."""

    def __init__(
        self, registry_path: Path | None = None, *, store: SecureTokenStore | None = None
    ) -> None:
        self.registry_path = registry_path
        self._store = store or TokenStoreFactory.create()

    def list_tokens(
        self, namespace: str | None = None, token_type: TokenType | None = None
    ) -> list[dict[str, Any]]:
        """Returns what is known of each login: its name, and the time of expiry. No secrets."""
        if namespace not in (None, "oauth") or token_type not in (None, TokenType.OAUTH):
            return []
        return [
            entry for name in self._store.list_keys() if (entry := self.get_entry(name, "oauth"))
        ]

    def get_entry(self, name: str, namespace: str = "generic") -> dict[str, Any] | None:
        """Returns what is known of one login, or none."""
        tokens = self._store.retrieve_token(name) if namespace == "oauth" else None
        if tokens is None:
            return None
        metadata = {} if tokens.expires_at is None else {"expires_at": tokens.expires_at}
        return {
            "name": name,
            "type": TokenType.OAUTH.value,
            "namespace": "oauth",
            "registered_at": tokens.issued_at,
            "metadata": metadata,
        }

    def has_token(self, name: str, namespace: str = "generic") -> bool:
        """Returns whether there is a login of this name."""
        return self.get_entry(name, namespace) is not None
