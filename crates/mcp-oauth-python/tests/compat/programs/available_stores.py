"""Lists the stores of this machine, and the one that is used by default."""

from mcp_client_oauth.compat import TokenStoreBackend, TokenStoreFactory

available = TokenStoreFactory.get_available_backends()
print("files:", TokenStoreBackend.ENCRYPTED_FILE in available)
print("default:", TokenStoreFactory._detect_backend() in available)
