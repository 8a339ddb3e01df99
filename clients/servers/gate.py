"""A bearer check in front of an MCP server without one. Usage: gate.py PORT STATE LIFETIME UPSTREAM

The authorization server and the check are those of the Python SDK. A request with a valid token is
forwarded to the port UPSTREAM on loopback, and the response is streamed back.
"""

import sys

import httpx2
import login
from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
from mcp.server.auth.provider import ProviderTokenVerifier
from mcp.server.auth.routes import (
    build_resource_metadata_url,
    create_auth_routes,
    create_protected_resource_routes,
)
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

# Headers of the connection, not of the message.
HOPS = {"host", "connection", "transfer-encoding", "content-length", "authorization", "keep-alive"}

upstream = f"http://127.0.0.1:{sys.argv[4]}/mcp"
http = httpx2.AsyncClient(timeout=None, limits=httpx2.Limits(max_connections=None))


async def forward(scope, receive, send):
    request = Request(scope, receive)
    headers = {name: value for name, value in request.headers.items() if name not in HOPS}
    headers["accept-encoding"] = "identity"
    try:
        response = await http.send(
            http.build_request(
                request.method, upstream, headers=headers, content=await request.body()
            ),
            stream=True,
        )
    except httpx2.TransportError as error:
        return await PlainTextResponse(str(error), status_code=502)(scope, receive, send)
    headers = {name: value for name, value in response.headers.items() if name not in HOPS}

    async def body():
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        finally:
            await response.aclose()

    await StreamingResponse(body(), response.status_code, headers)(scope, receive, send)


class Forward:
    """An ASGI application. Starlette would call a function with a request instead."""

    async def __call__(self, scope, receive, send):
        await forward(scope, receive, send)


provider, settings = login.provider(), login.settings()
metadata = build_resource_metadata_url(settings.resource_server_url)
routes = [
    Route("/mcp", RequireAuthMiddleware(Forward(), settings.required_scopes, metadata)),
    Route("/admin/expire", provider.expire, methods=["POST"]),
    Route("/admin/revoke", provider.revoke, methods=["POST"]),
    *create_auth_routes(
        provider=provider,
        issuer_url=settings.issuer_url,
        client_registration_options=settings.client_registration_options,
        revocation_options=settings.revocation_options,
    ),
    *create_protected_resource_routes(
        resource_url=settings.resource_server_url,
        authorization_servers=[settings.issuer_url],
        scopes_supported=settings.required_scopes,
    ),
]
backend = BearerAuthBackend(
    ProviderTokenVerifier(provider), resource_server_url=settings.resource_server_url
)
login.serve(Starlette(routes=routes, middleware=[Middleware(AuthenticationMiddleware, backend=backend)]))
