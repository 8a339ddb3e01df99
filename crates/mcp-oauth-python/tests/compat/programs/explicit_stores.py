"""Encrypted files with a password, in a directory of the program, and those of a test."""

import tempfile
from pathlib import Path

from mcp_client_oauth.compat import OAuthTokens, TokenManager, TokenStoreBackend

tokens = OAuthTokens(access_token="a", refresh_token="r", expires_in=3600)
manager = TokenManager(
    backend=TokenStoreBackend.ENCRYPTED_FILE, password="my-super-secret-password-123"
)
manager.save_tokens("one", tokens)
print("with a password:", manager.has_valid_tokens("one"))

directory = Path(tempfile.mkdtemp())
manager = TokenManager(
    backend=TokenStoreBackend.ENCRYPTED_FILE, token_dir=directory / "tokens", password="my-password"
)
manager.save_tokens("two", tokens)
again = TokenManager(
    backend=TokenStoreBackend.ENCRYPTED_FILE, token_dir=directory / "tokens", password="my-password"
)
print("in a directory:", again.has_valid_tokens("two"))
files = [path for path in directory.rglob("*") if path.is_file()]
print("plaintext:", any(b'"access_token"' in path.read_bytes() for path in files))
