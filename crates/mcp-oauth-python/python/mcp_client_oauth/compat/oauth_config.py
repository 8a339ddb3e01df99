"""Tokens, and the configuration of an authorization server."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from ._model import Model

#: A token is treated as expired this many seconds early, or a tenth of its lifetime if that is less.
MARGIN = 300.0


@dataclass(kw_only=True)
class OAuthTokens(Model):
    """The tokens of one login. Changing them changes nothing in the store."""

    access_token: str = field(repr=False)
    token_type: str = "Bearer"
    #: The lifetime in seconds, as the server sent it.
    expires_in: int | None = None
    refresh_token: str | None = field(default=None, repr=False)
    #: The granted scopes, separated by spaces.
    scope: str | None = None
    #: The time of issue, in seconds since 1970. Without it, the tokens are issued now.
    issued_at: float | None = None

    def __post_init__(self) -> None:
        if self.expires_in is not None:
            self.expires_in = int(self.expires_in)
        if self.issued_at is None:
            self.issued_at = time.time()

    @property
    def expires_at(self) -> float | None:
        """Returns the time of expiry, in seconds since 1970; none if the server sent no lifetime."""
        if self.expires_in is None or self.issued_at is None:
            return None
        return self.issued_at + self.expires_in

    def is_expired(self) -> bool:
        """Returns whether the access token has expired, or will soon."""
        if self.expires_in is None or self.expires_at is None:
            return False
        return time.time() >= self.expires_at - min(MARGIN, self.expires_in / 10)

    def get_authorization_header(self) -> str:
        """Returns the value of the `Authorization` header."""
        # RFC 9110 §11.1: the scheme is not case-sensitive, but some servers compare it with `Bearer`.
        scheme = "Bearer" if self.token_type.lower() == "bearer" else self.token_type
        return f"{scheme} {self.access_token}"


@dataclass(kw_only=True)
class OAuthConfig(Model):
    """An authorization server without discovery, and a client that is registered with it."""

    authorization_url: str
    token_url: str
    #: The endpoint for dynamic registration, for a program that has no `client_id`.
    registration_url: str | None = None
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    scopes: list[str] = field(default_factory=list)
    redirect_uri: str = "http://localhost:8080/callback"
    #: PKCE is always used; false is refused.
    use_pkce: bool = True
    extra_auth_params: dict[str, str] = field(default_factory=dict)
    #: The URL of the MCP server, to request tokens for it alone (RFC 8707). Without it, no resource is named.
    server_url: str | None = None
