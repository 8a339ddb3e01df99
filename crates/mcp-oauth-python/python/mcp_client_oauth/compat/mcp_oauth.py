"""Each step of a login alone, for a program that stores its own tokens."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from typing import Any

from .. import Client, _native
from ._model import Model
from .exceptions import (
    DiscoveryError,
    RegistrationError,
    TokenExchangeError,
    TokenRefreshError,
    step,
)
from .oauth_config import OAuthTokens


@dataclass(kw_only=True)
class ProtectedResourceMetadata(Model):
    """What the MCP server says about itself (RFC 9728)."""

    resource: str
    authorization_servers: list[str]
    scopes_supported: list[str] | None = field(default_factory=list)
    bearer_methods_supported: list[str] | None = field(default_factory=lambda: ["header"])


@dataclass(kw_only=True)
class MCPAuthorizationMetadata(Model):
    """What the authorization server says about itself (RFC 8414)."""

    authorization_endpoint: str
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    device_authorization_endpoint: str | None = None
    #: The scopes that the authorization server lists.
    scopes_supported: list[str] = field(default_factory=list)
    response_types_supported: list[str] = field(default_factory=lambda: ["code"])
    grant_types_supported: list[str] = field(
        default_factory=lambda: ["authorization_code", "refresh_token"]
    )
    code_challenge_methods_supported: list[str] = field(default_factory=lambda: ["S256"])
    issuer: str | None = None


#: Another name of `MCPAuthorizationMetadata`.
MCPAuthorizationServerMetadata = MCPAuthorizationMetadata


@dataclass(kw_only=True)
class DynamicClientRegistration(Model):
    """The client, as the authorization server has registered it (RFC 7591 §3.2.1)."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    client_id_issued_at: int | None = None
    #: In seconds since 1970; 0 if the secret does not expire.
    client_secret_expires_at: int = 0

    def __post_init__(self) -> None:
        # Some servers send null for a client without a secret.
        self.client_secret_expires_at = self.client_secret_expires_at or 0


class MCPOAuthClient:
    """A login to one MCP server, step by step. It stores nothing.

    With `authorization_url` and `token_url` no metadata is requested, for a server without discovery.
    """

    def __init__(
        self,
        server_url: str,
        redirect_uri: str | None = None,
        *,
        authorization_url: str | None = None,
        token_url: str | None = None,
        registration_url: str | None = None,
        revocation_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
    ) -> None:
        self.server_url = server_url.rstrip("/")
        self._redirect_uri = redirect_uri
        manual = {
            "authorization_endpoint": authorization_url,
            "token_endpoint": token_url,
            "registration_endpoint": registration_url,
            "revocation_endpoint": revocation_url,
        }
        if (authorization_url is None) != (token_url is None):
            raise ValueError("authorization_url and token_url belong together: pass both, or none")
        self._client = Client(store="memory")
        self._flow = _native.Flow(
            self._client._native, self.server_url, manual if token_url else None
        )
        if client_id is not None:
            self._flow.set_client(client_id, client_secret)

    @property
    def redirect_uri(self) -> str:
        """Returns the redirect URI: on a free port of 127.0.0.1, if none was given (RFC 8252 §7.3)."""
        if self._redirect_uri is None:
            with socket.create_server(("127.0.0.1", 0)) as free:
                self._redirect_uri = f"http://127.0.0.1:{free.getsockname()[1]}/callback"
        return self._redirect_uri

    @staticmethod
    def parse_www_authenticate_header(header_value: str) -> str | None:
        """Returns the URL of the resource metadata in a `WWW-Authenticate` header (RFC 9728 §5.1)."""
        return _native.resource_metadata_url(header_value)

    async def discover_protected_resource(
        self, prm_url: str | None = None
    ) -> ProtectedResourceMetadata:
        """Discovers the resource and its authorization server, at `prm_url` if that is given.

        Raises `DiscoveryError`.
        """
        challenge = None if prm_url is None else f'Bearer resource_metadata="{_quotable(prm_url)}"'
        with step(DiscoveryError):
            return _resource(await self._flow.discover(challenge))

    async def discover_from_error_response(self, response: Any) -> ProtectedResourceMetadata | None:
        """Discovers from the challenge of a 401 or 403 response. Returns none if it has no metadata URL.

        Raises `DiscoveryError`.
        """
        if response.status_code not in (401, 403):
            return None
        challenge = response.headers.get("www-authenticate")
        if not challenge or self.parse_www_authenticate_header(challenge) is None:
            return None
        with step(DiscoveryError):
            return _resource(await self._flow.discover(challenge))

    async def discover_authorization_server(
        self, as_metadata_url: None = None
    ) -> MCPAuthorizationMetadata:
        """Discovers the authorization server of the MCP server.

        Raises `DiscoveryError`.
        """
        if as_metadata_url is not None:
            # RFC 9728: the MCP server names its authorization server. Another URL could name another one.
            raise ValueError(
                "as_metadata_url is not supported; pass authorization_url and token_url instead"
            )
        with step(DiscoveryError):
            return _server(await self._flow.discover(None))

    async def register_client(
        self, client_name: str = "MCP CLI", redirect_uris: list[str] | None = None
    ) -> DynamicClientRegistration:
        """Registers a client with one redirect URI, after discovery.

        Raises `RegistrationError`.
        """
        if redirect_uris is not None and len(redirect_uris) != 1:
            raise ValueError("register one redirect URI: the one that the login uses")
        redirect_uri = redirect_uris[0] if redirect_uris else self.redirect_uri
        with step(RegistrationError):
            registered = await self._flow.register(client_name, redirect_uri)
        self._redirect_uri = redirect_uri
        return DynamicClientRegistration.model_validate(registered)

    def get_authorization_url(self, scopes: list[str] | None = None) -> str:
        """Returns the URL where the user authorizes the client, after discovery and registration."""
        return self._flow.authorization_url(self.redirect_uri, _joined(scopes)).wait()

    async def exchange_code_for_token(self, code: str) -> OAuthTokens:
        """Exchanges a code for tokens.

        Pass the whole URL that the browser was redirected to: its `state` and `iss` are checked. A bare
        code is accepted too, with a warning in the log, because only the caller can check these then.

        Raises `TokenExchangeError`; `AuthorizationError` if the URL is not the response to this login.
        """
        is_url = re.match(r"[a-z][a-z0-9+.-]*:", code, re.IGNORECASE) is not None
        with step(TokenExchangeError):
            return OAuthTokens.model_validate(await self._flow.exchange(code, is_url))

    async def authorize(self, scopes: list[str] | None = None) -> OAuthTokens:
        """Runs all steps: opens the browser, waits five minutes at most, and returns the tokens.

        Raises the error of the step that failed.
        """
        native = self._client._native
        with step(DiscoveryError):
            session = await self._flow.login(native, None, self._redirect_uri, _joined(scopes))
        return OAuthTokens.model_validate(_native.tokens_of(session))

    async def refresh_token(self, refresh_token: str) -> OAuthTokens:
        """Returns new tokens. A response without a refresh token keeps the one that was sent.

        Raises `TokenRefreshError`.
        """
        with step(TokenRefreshError):
            return OAuthTokens.model_validate(await self._flow.refresh(refresh_token))

    async def revoke_token(self, token: str, token_type_hint: str | None = None) -> bool:
        """Revokes a token (RFC 7009). Returns false if the server has not; the log has the reason."""
        return await self._flow.revoke(token, token_type_hint)


def _resource(discovered: dict[str, Any]) -> ProtectedResourceMetadata:
    scopes = discovered["resource_scopes"]
    return ProtectedResourceMetadata.model_validate({**discovered, "scopes_supported": scopes})


def _server(discovered: dict[str, Any]) -> MCPAuthorizationMetadata:
    # A server that lists no scopes or grants is known by those of its resource, and by the defaults.
    scopes = discovered["server_scopes"] or discovered["resource_scopes"]
    found = {name: value for name, value in discovered.items() if value or isinstance(value, str)}
    return MCPAuthorizationMetadata.model_validate({**found, "scopes_supported": scopes})


def _joined(scopes: list[str] | None) -> str | None:
    return " ".join(scopes) if scopes else None


def _quotable(url: str) -> str:
    # It becomes a quoted string (RFC 9110 §5.6.4), where no URL needs these characters.
    if re.search(r'[\s"\\]', url):
        raise ValueError("the URL of the metadata has a space, a quote or a backslash")
    return url
