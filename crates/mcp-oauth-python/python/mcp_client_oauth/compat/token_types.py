"""Data classes of other kinds of tokens. The stores hold logins only: these are not stored."""

from __future__ import annotations

import base64
import enum
import time
from dataclasses import dataclass, field
from typing import Any

from ._model import Model


class TokenType(str, enum.Enum):
    """The kind of a token."""

    OAUTH = "oauth"
    BEARER = "bearer"
    API_KEY = "api_key"
    BASIC_AUTH = "basic_auth"


@dataclass(kw_only=True)
class StoredToken(Model):
    """A token of any kind, with its members as a dictionary."""

    token_type: TokenType
    name: str
    data: dict[str, Any] = field(repr=False)
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        self.token_type = TokenType(self.token_type)

    def get_display_info(self) -> dict[str, Any]:
        """Returns what may be shown: no part of a secret."""
        info: dict[str, Any] = {"name": self.name, "type": self.token_type.value}
        shown = ("expires_at", "issued_at", "provider", "username")
        info.update({name: self.data[name] for name in shown if name in self.data})
        if self.token_type is TokenType.OAUTH:
            info["has_refresh_token"] = bool(self.data.get("refresh_token"))
        if self.token_type is TokenType.BEARER:
            info["has_token"] = bool(self.data.get("token"))
        if self.metadata:
            info["metadata"] = self.metadata
        return info

    def _data_of(self, expected: TokenType) -> dict[str, Any]:
        if self.token_type is not expected:
            raise ValueError(
                f"cannot read {self.name}: it is {self.token_type.value}, not {expected.value}"
            )
        return self.data


@dataclass(kw_only=True)
class BearerToken(Model):
    """A bearer token that was not issued to this client."""

    token: str = field(repr=False)
    expires_at: float | None = None

    def to_stored_token(self, name: str) -> StoredToken:
        """Returns it as a token of any kind."""
        data = {name: value for name, value in self.model_dump().items() if value is not None}
        return StoredToken(token_type=TokenType.BEARER, name=name, data=data)

    @classmethod
    def from_stored_token(cls, stored: StoredToken) -> BearerToken:
        """Returns the bearer token in `stored`."""
        return cls.model_validate(stored._data_of(TokenType.BEARER))

    def is_expired(self, buffer_seconds: int = 300) -> bool:
        """Returns whether it has expired, or will within `buffer_seconds`."""
        return self.expires_at is not None and time.time() >= self.expires_at - buffer_seconds


@dataclass(kw_only=True)
class APIKeyToken(Model):
    """The API key of a provider."""

    provider: str
    key: str = field(repr=False)
    organization_id: str | None = None
    project_id: str | None = None

    def to_stored_token(self, name: str) -> StoredToken:
        """Returns it as a token of any kind."""
        data = {name: value for name, value in self.model_dump().items() if value is not None}
        return StoredToken(token_type=TokenType.API_KEY, name=name, data=data)

    @classmethod
    def from_stored_token(cls, stored: StoredToken) -> APIKeyToken:
        """Returns the API key in `stored`."""
        return cls.model_validate(stored._data_of(TokenType.API_KEY))


@dataclass(kw_only=True)
class BasicAuthToken(Model):
    """A user name and a password."""

    username: str
    password: str = field(repr=False)

    def to_stored_token(self, name: str) -> StoredToken:
        """Returns it as a token of any kind."""
        return StoredToken(token_type=TokenType.BASIC_AUTH, name=name, data=self.model_dump())

    @classmethod
    def from_stored_token(cls, stored: StoredToken) -> BasicAuthToken:
        """Returns the user name and the password in `stored`."""
        return cls.model_validate(stored._data_of(TokenType.BASIC_AUTH))

    def get_auth_header(self) -> str:
        """Returns the value of the `Authorization` header (RFC 7617 §2)."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()
