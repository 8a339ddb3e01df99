"""The names of the package `chuk-mcp-client-oauth`, over this one.

A program of that package runs after its imports are changed:

    from mcp_client_oauth.compat import OAuthHandler

`docs/migration.md` lists the differences. New programs use `mcp_client_oauth.Client`.
"""

from .exceptions import (
    AuthorizationError,
    DiscoveryError,
    HTTPStatusError,
    NetworkError,
    OAuthError,
    RegistrationError,
    TokenExchangeError,
    TokenRefreshError,
    TokenStorageError,
)
from .mcp_oauth import (
    DynamicClientRegistration,
    MCPAuthorizationMetadata,
    MCPAuthorizationServerMetadata,
    MCPOAuthClient,
    ProtectedResourceMetadata,
)
from .oauth_config import OAuthConfig, OAuthTokens
from .oauth_flow import OAuthFlow
from .oauth_handler import OAuthHandler
from .old_logins import OldLogin, old_logins
from .secure_token_store import SecureTokenStore
from .sse import parse_sse_json, parse_sse_response
from .token_manager import TokenManager
from .token_registry import TokenRegistry
from .token_store_factory import TokenStoreBackend, TokenStoreFactory, is_secure_backend_available
from .token_types import APIKeyToken, BasicAuthToken, BearerToken, StoredToken, TokenType

__all__ = [
    "APIKeyToken",
    "AuthorizationError",
    "BasicAuthToken",
    "BearerToken",
    "DiscoveryError",
    "DynamicClientRegistration",
    "HTTPStatusError",
    "MCPAuthorizationMetadata",
    "MCPAuthorizationServerMetadata",
    "MCPOAuthClient",
    "NetworkError",
    "OAuthConfig",
    "OAuthError",
    "OAuthFlow",
    "OAuthHandler",
    "OAuthTokens",
    "OldLogin",
    "ProtectedResourceMetadata",
    "RegistrationError",
    "SecureTokenStore",
    "StoredToken",
    "TokenExchangeError",
    "TokenManager",
    "TokenRefreshError",
    "TokenRegistry",
    "TokenStorageError",
    "TokenStoreBackend",
    "TokenStoreFactory",
    "TokenType",
    "is_secure_backend_available",
    "old_logins",
    "parse_sse_json",
    "parse_sse_response",
]
