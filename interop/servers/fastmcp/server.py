"""An MCP server of FastMCP with its own in-memory OAuth provider."""

from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions, RevocationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider

import loopback

SCOPE = "notes:read"

(listen, public), _ = loopback.ports()

provider = InMemoryOAuthProvider(
    base_url=loopback.origin(public),
    required_scopes=[SCOPE],
    client_registration_options=ClientRegistrationOptions(
        enabled=True, valid_scopes=[SCOPE, "notes:write"]
    ),
    revocation_options=RevocationOptions(enabled=True),
)
server = FastMCP("fastmcp", auth=provider)


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def active(token):
    return await provider.load_access_token(token) or token in provider.refresh_tokens


# The provider removes an access token together with its refresh token when it finds it expired;
# here only the access token is removed, as a provider with a database does.
async def expire(_):
    count = len(provider.access_tokens)
    provider.access_tokens.clear()
    return count


loopback.run([(listen, server.http_app())], "fastmcp", active, expire)
