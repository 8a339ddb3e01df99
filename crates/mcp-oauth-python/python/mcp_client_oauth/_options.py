"""The options of a login that few callers need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class CommonOptions(TypedDict, total=False):
    """Options of a login, also of one in two requests."""

    client_id: str
    """The client ID of a pre-registered client."""
    client_secret: str
    """The secret of a pre-registered client."""
    private_key: str
    """The key by which a pre-registered client authenticates (``private_key_jwt``), as PKCS#8 in PEM."""
    client_issuer: str
    """The issuer that a pre-registered client is bound to; without it, the first one that it is used with."""
    client_metadata_url: str
    """The https URL of the client metadata document that the application hosts."""
    client_metadata_key: str
    """The private key of that document, as PKCS#8 in PEM."""
    client_name: str
    """The name of the application on the consent page."""
    timeout: float
    """The seconds that the user has to authorize the client: 300 without it."""
    force: bool
    """Logs in again, and repeats discovery and dynamic registration."""
    reuse_issuer_login: bool
    """Reuses a login of the same account at another server of the same issuer, if the issuer allows that."""
    dpop: bool
    """Binds the tokens to a key, so that a stolen token cannot be used (DPoP, RFC 9449): always or never.
    Without it, they are bound if the server requires that."""
    legacy: bool
    """Accepts a server of the MCP revision 2025-03-26, without protected resource metadata."""
    challenge: str
    """The ``WWW-Authenticate`` header of the response that made the login necessary."""
    server_metadata: Mapping[str, Any]
    """The metadata of the authorization server (RFC 8414), where discovery is impossible."""
    quirks: Mapping[str, Any]
    """How the server differs from the specifications, as in the configuration of ``mcp-oauth``."""


class LoginOptions(CommonOptions, total=False):
    """Options of a login. The defaults suit most servers."""

    redirect_port: int
    """The port of the redirect URI ``http://127.0.0.1:PORT/callback``; without it, a free one."""
    redirect_uri: str
    """The redirect URI. One on loopback is listened to."""
    reauthenticate: bool
    """Logs in again, also if a login is stored."""
