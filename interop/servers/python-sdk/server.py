"""An MCP server of the Python SDK that is its own authorization server, as a user writes one.

The SDK has the endpoints and their checks (`create_auth_routes`); the user adds the storage of codes
and tokens and a consent page. Refresh tokens are rotated, and reuse of an old one revokes the login
(RFC 9700 section 4.14.2).
"""

import html
import secrets
import time

from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthToken
from starlette.responses import HTMLResponse, RedirectResponse

import loopback

try:
    from mcp.server.mcpserver import MCPServer
except ModuleNotFoundError:  # mcp 1.x
    from mcp.server.fastmcp import FastMCP as MCPServer

LIFETIME = 3600
SCOPE = "notes:read"

(listen, public), _ = loopback.ports()
base = loopback.origin(public)


class Provider(OAuthAuthorizationServerProvider):
    def __init__(self):
        self.clients = {}
        self.requests = {}
        self.codes = {}
        self.access = {}
        self.refresh = {}
        self.spent = {}
        self.login_of = {}

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        self.clients[client_info.client_id] = client_info

    async def authorize(self, client, params):
        request = secrets.token_urlsafe(16)
        self.requests[request] = (client, params)
        return f"{base}/consent?request={request}"

    def decide(self, request, approved):
        client, params = self.requests.pop(request)
        redirect_uri = str(params.redirect_uri)
        if not approved:
            return construct_redirect_uri(redirect_uri, error="access_denied", state=params.state)
        code = secrets.token_urlsafe(32)
        self.codes[code] = AuthorizationCode(
            code=code,
            client_id=client.client_id,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            expires_at=time.time() + 300,
            scopes=params.scopes or [SCOPE],
            code_challenge=params.code_challenge,
            resource=params.resource,
        )
        return construct_redirect_uri(redirect_uri, code=code, state=params.state)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        del self.codes[authorization_code.code]
        return self.issue(authorization_code, authorization_code.scopes, secrets.token_hex(8))

    async def load_refresh_token(self, client, refresh_token):
        if refresh_token in self.spent:
            self.end(self.spent[refresh_token])
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        login = self.login_of[refresh_token.token]
        del self.refresh[refresh_token.token]
        self.spent[refresh_token.token] = login
        return self.issue(refresh_token, scopes, login)

    def issue(self, grant, scopes, login):
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        resource = getattr(grant, "resource", None)  # mcp 1.x keeps none with a refresh token
        common = {"client_id": grant.client_id, "scopes": scopes, "resource": resource}
        expires_at = int(time.time()) + LIFETIME
        self.access[access] = AccessToken(token=access, expires_at=expires_at, **common)
        self.refresh[refresh] = RefreshToken(token=refresh, **common)
        self.login_of[access] = self.login_of[refresh] = login
        return OAuthToken(
            access_token=access,
            refresh_token=refresh,
            expires_in=LIFETIME,
            scope=" ".join(scopes),
        )

    async def load_access_token(self, token):
        found = self.access.get(token)
        return found if found and found.expires_at > time.time() else None

    async def revoke_token(self, token):
        self.end(self.login_of[token.token])

    def end(self, login):
        for tokens in (self.access, self.refresh):
            for token in [token for token in tokens if self.login_of[token] == login]:
                del tokens[token]


provider = Provider()
server = MCPServer(
    "python-sdk",
    auth_server_provider=provider,
    auth=AuthSettings(
        issuer_url=base,
        resource_server_url=f"{base}/mcp",
        required_scopes=[SCOPE],
        validate_token_resource=True,
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=[SCOPE, "notes:write"], default_scopes=[SCOPE]
        ),
        revocation_options=RevocationOptions(enabled=True),
    ),
)


@server.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


@server.custom_route("/consent", methods=["GET", "POST"])
async def consent(request):
    if request.method == "POST":
        form = await request.form()
        to = provider.decide(str(form["request"]), form["decision"] == "allow")
        return RedirectResponse(to, status_code=302)
    return HTMLResponse(
        f"""<form method="post" action="/consent">
        <input type="hidden" name="request" value="{html.escape(request.query_params["request"])}">
        <button name="decision" value="allow">Allow</button>
        <button name="decision" value="deny">Deny</button></form>"""
    )


async def active(token):
    return await provider.load_access_token(token) or token in provider.refresh


async def expire(_):
    for token in provider.access.values():
        token.expires_at = 0
    return len(provider.access)


loopback.run([(listen, server.streamable_http_app())], "mcp", active, expire)
