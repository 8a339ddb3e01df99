"""The exceptions of this package: one class for each step, all below :class:`OAuthError`."""

from __future__ import annotations

from typing import Literal

Remedy = Literal["log_in", "reconfigure", "contact_server_operator", "retry"]
"""What resolves an error: log in again, change an argument or the configuration, contact the operator of
the server (it broke the protocol), or try the same again later."""

__all__ = [
    "AuthorizationError",
    "DiscoveryError",
    "NetworkError",
    "OAuthError",
    "RegistrationError",
    "Remedy",
    "RevocationError",
    "TokenExchangeError",
    "TokenRefreshError",
    "TokenStorageError",
]


class OAuthError(Exception):
    """A failure between a server URL and an authorized request.

    Its text says what failed, at which URL or file, and why, in one line; it contains no token.
    """

    remedy: Remedy
    """What resolves it."""
    error: str | None
    """The ``error`` that the server responded with, such as ``invalid_grant`` (RFC 6749 section 5.2)."""
    error_description: str | None
    """The ``error_description`` that the server responded with."""

    def __init__(
        self,
        message: str,
        remedy: Remedy = "retry",
        error: str | None = None,
        error_description: str | None = None,
    ) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.error = error
        self.error_description = error_description


class DiscoveryError(OAuthError):
    """The authorization server of the MCP server was not found."""


class RegistrationError(OAuthError):
    """There is no client ID: the server does not register clients dynamically, or refused this one."""


class AuthorizationError(OAuthError):
    """The user did not authorize the client, or there is no login."""


class TokenExchangeError(OAuthError):
    """The authorization server did not issue tokens."""


class TokenRefreshError(OAuthError):
    """The access token was not refreshed. With the remedy ``"log_in"``, only a new login helps."""


class TokenStorageError(OAuthError):
    """The token store failed: a wrong password, a corrupt file, a full disk."""


class RevocationError(OAuthError):
    """A token was not revoked."""


class NetworkError(OAuthError):
    """There was no response: no connection, a timeout, a certificate that is not trusted."""
