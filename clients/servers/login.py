"""An authorization server that approves every login, and the check of its tokens.

The endpoints and the bearer check are those of the Python SDK. The tokens are stored in a file, so
that they survive a restart of the server. `POST /admin/expire` expires all access tokens, which can be
refreshed; `POST /admin/revoke` revokes the refresh tokens too.
"""

import os
import pickle
import secrets
import socket
import sys
import threading
import time

import uvicorn
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    construct_redirect_uri,
)
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.shared.auth import OAuthToken
from starlette.responses import PlainTextResponse

SCOPE = "notes:read"


class Provider(OAuthAuthorizationServerProvider):
    def __init__(self, file, lifetime):
        self.file, self.lifetime = file, lifetime
        self.clients, self.codes, self.access, self.refresh = {}, {}, {}, {}
        if os.path.exists(file):
            with open(file, "rb") as state:
                self.clients, self.codes, self.access, self.refresh = pickle.load(state)

    def keep(self):
        with open(self.file, "wb") as state:
            pickle.dump((self.clients, self.codes, self.access, self.refresh), state)

    async def get_client(self, client_id):
        return self.clients.get(client_id)

    async def register_client(self, client_info):
        self.clients[client_info.client_id] = client_info
        self.keep()

    async def authorize(self, client, params):
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
        return construct_redirect_uri(str(params.redirect_uri), code=code, state=params.state)

    async def load_authorization_code(self, client, authorization_code):
        return self.codes.get(authorization_code)

    async def exchange_authorization_code(self, client, authorization_code):
        del self.codes[authorization_code.code]
        return self.issue(authorization_code, authorization_code.scopes)

    async def load_refresh_token(self, client, refresh_token):
        return self.refresh.get(refresh_token)

    async def exchange_refresh_token(self, client, refresh_token, scopes):
        del self.refresh[refresh_token.token]
        return self.issue(refresh_token, scopes)

    def issue(self, grant, scopes):
        access, refresh = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        common = {"client_id": grant.client_id, "scopes": scopes, "resource": grant.resource}
        expires_at = int(time.time()) + self.lifetime
        self.access[access] = AccessToken(token=access, expires_at=expires_at, **common)
        self.refresh[refresh] = RefreshToken(token=refresh, **common)
        self.keep()
        return OAuthToken(
            access_token=access,
            refresh_token=refresh,
            expires_in=self.lifetime,
            scope=" ".join(scopes),
        )

    async def load_access_token(self, token):
        found = self.access.get(token)
        return found if found and found.expires_at > time.time() else None

    async def revoke_token(self, token):
        self.access.pop(token.token, None)
        self.refresh.pop(token.token, None)
        self.keep()

    async def expire(self, _request):
        self.access.clear()
        self.keep()
        return PlainTextResponse("expired")

    async def revoke(self, _request):
        self.access.clear()
        self.refresh.clear()
        self.keep()
        return PlainTextResponse("revoked")


def provider():
    """Returns the provider for the arguments PORT STATE LIFETIME."""
    return Provider(sys.argv[2], int(sys.argv[3]))


def settings():
    base = f"http://127.0.0.1:{sys.argv[1]}"
    return AuthSettings(
        issuer_url=base,
        resource_server_url=f"{base}/mcp",
        required_scopes=[SCOPE],
        validate_token_resource=True,
        client_registration_options=ClientRegistrationOptions(
            enabled=True, valid_scopes=[SCOPE], default_scopes=[SCOPE]
        ),
        revocation_options=RevocationOptions(enabled=True),
    )


def serve(app):
    """Serves on loopback until stdin closes."""
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run([listener])
