"""Saves tokens, loads them and deletes them, with the best store of this machine."""

from mcp_client_oauth.compat import OAuthTokens, TokenManager

tokens = OAuthTokens(
    access_token="an-access-token",
    token_type="Bearer",
    expires_in=3600,
    refresh_token="a-refresh-token",
    scope="read write",
)
manager = TokenManager()
print("before:", manager.load_tokens("my-server"))
manager.save_tokens("my-server", tokens)
loaded = manager.load_tokens("my-server")
print("loaded:", loaded is not None and loaded.access_token, loaded is not None and loaded.scope)
if manager.has_valid_tokens("my-server"):
    print("valid")
print("deleted:", manager.delete_tokens("my-server"), manager.delete_tokens("my-server"))
