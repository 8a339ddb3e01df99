"""Tokens in a HashiCorp Vault. The arguments are its URL and a token."""

import sys

from mcp_client_oauth.compat import OAuthTokens, TokenManager, TokenStoreBackend

manager = TokenManager(
    backend=TokenStoreBackend.VAULT,
    vault_url=sys.argv[1],
    vault_token=sys.argv[2],
    vault_mount_point="secret",
    vault_path_prefix="mcp-oauth",
)
manager.save_tokens("server", OAuthTokens(access_token="a", expires_in=3600))
print("in the Vault:", manager.has_valid_tokens("server"))
