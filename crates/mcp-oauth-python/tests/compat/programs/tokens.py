"""The object with the tokens."""

import time

from mcp_client_oauth.compat import OAuthTokens

tokens = OAuthTokens(
    access_token="abc",
    token_type="bearer",
    expires_in=3600,
    refresh_token="def",
    scope="read write",
)
print(tokens.get_authorization_header(), tokens.is_expired())
print(sorted(name for name, value in tokens.model_dump().items() if value is not None))
tokens.issued_at = time.time() - 3600
print("expired:", tokens.is_expired())
