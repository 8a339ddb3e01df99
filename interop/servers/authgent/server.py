"""authgent, an authorization server for agents, as its package ships it, and an MCP server of the
Python SDK that introspects each token (RFC 7662). Each has its own origin.
"""

import os
import tempfile

import loopback

(listen, public), (as_listen, as_public) = loopback.ports()
resource = f"{loopback.origin(public)}/mcp"
issuer = loopback.origin(as_public)

# Its settings are variables, and its store is a file.
folder = tempfile.mkdtemp()
os.environ |= {
    "AUTHGENT_SERVER_URL": issuer,
    "AUTHGENT_DATABASE_URL": f"sqlite+aiosqlite:///{folder}/authgent.db",
    "AUTHGENT_SECRET_KEY": "00" * 32,
    "AUTHGENT_CONSENT_MODE": "ui",
    "AUTHGENT_SCOPES_SUPPORTED": '["notes:read"]',
}

import httpx
from authgent_server.app import create_app
from authgent_server.config import get_settings
from authgent_server.db import get_engine, get_session_factory
from authgent_server.models.refresh_token import RefreshToken
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer

introspection = f"{loopback.origin(as_listen)}/introspect"


async def introspect(token):
    async with httpx.AsyncClient() as http:
        return (await http.post(introspection, data={"token": token})).json()


class Verifier:
    async def verify_token(self, token):
        claims = await introspect(token)
        if not claims["active"]:
            return None
        scopes = (claims.get("scope") or "").split()
        return AccessToken(
            token=token, client_id=claims["client_id"], scopes=scopes, resource=claims["aud"]
        )


mcp = MCPServer(
    "authgent",
    token_verifier=Verifier(),
    auth=AuthSettings(
        issuer_url=issuer,
        resource_server_url=resource,
        required_scopes=["notes:read"],
        validate_token_resource=True,
    ),
)


@mcp.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


# Introspection supports access tokens only.
async def active(token):
    async with get_session_factory(get_engine(get_settings()))() as session:
        refresh = await session.get(RefreshToken, token)
    return not refresh.used if refresh else (await introspect(token))["active"]


loopback.run(
    [(listen, mcp.streamable_http_app()), (as_listen, create_app())], "authgent-server", active
)
