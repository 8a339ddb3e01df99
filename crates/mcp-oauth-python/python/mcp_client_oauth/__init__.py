"""OAuth 2.1 for MCP clients: give it a server URL, and send authorized requests.

::

    from mcp_client_oauth import Client

    client = Client()
    session = await client.login("https://mcp.example.com/mcp")  # a stored login, or the browser
    notes = await session.get("notes")  # refreshes and retries on 401
    header = await session.header()  # "Bearer …", for any other HTTP client

Without asyncio, the same from :mod:`mcp_client_oauth.sync`.
"""

from ._authorization import Authorization
from ._client import Client, Session
from ._document import client_metadata_document
from ._grants import EnterpriseManaged, WorkloadIdentity
from ._interaction import DeviceCode
from ._response import BegunLogin, Headers, HTTPStatusError, Login, Logout, Response
from .errors import (
    AuthorizationError,
    DiscoveryError,
    NetworkError,
    OAuthError,
    RegistrationError,
    RevocationError,
    TokenExchangeError,
    TokenRefreshError,
    TokenStorageError,
)

__all__ = [
    "Authorization",
    "AuthorizationError",
    "BegunLogin",
    "Client",
    "DeviceCode",
    "DiscoveryError",
    "EnterpriseManaged",
    "HTTPStatusError",
    "Headers",
    "Login",
    "Logout",
    "NetworkError",
    "OAuthError",
    "RegistrationError",
    "Response",
    "RevocationError",
    "Session",
    "TokenExchangeError",
    "TokenRefreshError",
    "TokenStorageError",
    "WorkloadIdentity",
    "client_metadata_document",
]
