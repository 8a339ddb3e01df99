"""A store that cannot be used, and another one instead. The argument is a path that is no directory."""

import sys
import tempfile
from pathlib import Path

from mcp_client_oauth.compat import OAuthTokens, TokenManager, TokenStoreBackend
from mcp_client_oauth.compat.exceptions import TokenStorageError

tokens = OAuthTokens(access_token="a", expires_in=3600)
try:
    manager = TokenManager(token_dir=Path(sys.argv[1]), backend=TokenStoreBackend.AUTO)
    manager.save_tokens("server", tokens)
except TokenStorageError:
    print("storage failed")
    manager = TokenManager(
        backend=TokenStoreBackend.ENCRYPTED_FILE,
        token_dir=Path(tempfile.mkdtemp()),
        password="explicit-password-123",
    )
    manager.save_tokens("server", tokens)
print("stored:", manager.has_valid_tokens("server"))
