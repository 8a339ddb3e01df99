"""FastMCP's OAuthProxy in front of another authorization server, which has one client.

Users put it in front of GitHub, Google and Entra. Here that is oidc-provider (`upstream.mjs`).
"""

import os
import subprocess
import sys

from fastmcp import FastMCP
from fastmcp.server.auth import OAuthProxy
from fastmcp.server.auth.oauth_proxy.models import _hash_token
from fastmcp.server.auth.providers.introspection import IntrospectionTokenVerifier
from key_value.aio.stores.memory import MemoryStore

import loopback

(listen, public), (upstream_listen, upstream_public) = loopback.ports()
# The driver does not record the requests of the proxy itself.
upstream = loopback.origin(upstream_listen)
client = {"client_id": "proxy", "client_secret": "secret of the proxy"}

# It ends with this process, because its stdin is a pipe of this process.
node = [os.path.abspath("../../node_modules/node/bin/node"), "--no-warnings", "upstream.mjs"]
process = subprocess.Popen(
    [*node, *sys.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
)
process.stdout.readline()

proxy = OAuthProxy(
    upstream_authorization_endpoint=f"{loopback.origin(upstream_public)}/auth",
    upstream_token_endpoint=f"{upstream}/token",
    upstream_revocation_endpoint=f"{upstream}/token/revocation",
    upstream_client_id=client["client_id"],
    upstream_client_secret=client["client_secret"],
    token_verifier=IntrospectionTokenVerifier(
        introspection_url=f"{upstream}/token/introspection",
        required_scopes=["openid"],
        **client,
    ),
    base_url=loopback.origin(public),
    forward_resource=False,
    client_storage=MemoryStore(),
    jwt_signing_key="a key of the proxy, for its own tokens",
)
server = FastMCP("fastmcp-proxy", auth=proxy)


@server.tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def active(token):
    refresh = await proxy._refresh_token_store.get(key=_hash_token(token))
    return refresh or await proxy.load_access_token(token)


# The token is a JWT that refers to a token of the other server: the reference is what expires.
async def expire(token):
    claims = proxy.jwt_issuer.verify_token(token)
    return int(await proxy._jti_mapping_store.delete(key=claims["jti"]))


loopback.run([(listen, server.http_app())], "fastmcp", active, expire)
