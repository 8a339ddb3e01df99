"""An authorization server written with Authlib for Flask, and an MCP server of the Python SDK that
introspects each token (RFC 7662). Each has its own origin.

Authlib implements the protocol: registration, the code grant with PKCE, refresh, revocation and `iss`.
It leaves storage, the metadata and the consent page to the user.
"""

import json
import logging
import os
import secrets
import threading
import time
import urllib.request
from dataclasses import dataclass, field

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7591 import ClientRegistrationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207.parameter import IssuerParameter
from flask import Flask, jsonify, request
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.server.mcpserver import MCPServer
from werkzeug.serving import make_server

import loopback

# Without it, Authlib rejects http, on loopback too.
os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"

METHODS = ["client_secret_basic", "client_secret_post", "none"]
SCOPES = ["notes:read", "notes:write"]

(listen, public), (as_listen, as_public) = loopback.ports()
resource = f"{loopback.origin(public)}/mcp"
issuer = loopback.origin(as_public)

clients, codes, tokens = {}, {}, []


@dataclass
class Client(ClientMixin):
    info: dict
    metadata: dict

    def get_client_id(self):
        return self.info["client_id"]

    def get_default_redirect_uri(self):
        return self.metadata["redirect_uris"][0]

    def get_allowed_scope(self, scope):
        allowed = self.metadata.get("scope", "").split()
        return " ".join(name for name in scope.split() if name in allowed) if scope else ""

    def check_redirect_uri(self, redirect_uri):
        return redirect_uri in self.metadata["redirect_uris"]

    def check_client_secret(self, client_secret):
        return secrets.compare_digest(self.info["client_secret"], client_secret)

    def check_endpoint_auth_method(self, method, endpoint):
        return method == self.metadata.get("token_endpoint_auth_method", "client_secret_basic")

    def check_response_type(self, response_type):
        return response_type in self.metadata.get("response_types", ["code"])

    def check_grant_type(self, grant_type):
        return grant_type in self.metadata.get("grant_types", ["authorization_code"])


@dataclass
class Code:
    code: str
    client: Client
    redirect_uri: str
    scope: str
    code_challenge: str
    code_challenge_method: str
    user: str

    def get_redirect_uri(self):
        return self.redirect_uri

    def get_scope(self):
        return self.scope


@dataclass
class Token(TokenMixin):
    client: Client
    access_token: str
    refresh_token: str
    scope: str
    expires_at: float
    revoked: set = field(default_factory=set)

    def check_client(self, client):
        return self.client is client

    def get_scope(self):
        return self.scope

    def get_expires_in(self):
        return int(self.expires_at - time.time())

    def is_expired(self):
        return self.expires_at < time.time()

    def is_revoked(self):
        return self.access_token in self.revoked

    def get_client(self):
        return self.client

    def is_active(self, token):
        if token == self.refresh_token:
            return token not in self.revoked
        return not self.is_revoked() and not self.is_expired()


def find(token, *_):
    return next((t for t in tokens if token in (t.access_token, t.refresh_token)), None)


def save(token, oauth_request):
    expires_at = time.time() + token["expires_in"]
    refresh_token, scope = token.get("refresh_token"), token.get("scope", "")
    access_token = token["access_token"]
    tokens.append(Token(oauth_request.client, access_token, refresh_token, scope, expires_at))


class CodeGrant(grants.AuthorizationCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def save_authorization_code(self, code, oauth_request):
        payload = oauth_request.payload
        codes[code] = Code(
            code,
            oauth_request.client,
            payload.redirect_uri,
            payload.scope,
            payload.data["code_challenge"],
            payload.data["code_challenge_method"],
            oauth_request.user,
        )

    def query_authorization_code(self, code, client):
        found = codes.get(code)
        return found if found and found.client is client else None

    def delete_authorization_code(self, authorization_code):
        del codes[authorization_code.code]

    def authenticate_user(self, authorization_code):
        return authorization_code.user


class RefreshGrant(grants.RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token):
        found = find(refresh_token)
        return found if found and found.is_active(refresh_token) else None

    def authenticate_user(self, refresh_token):
        return "alice"

    def revoke_old_credential(self, refresh_token):
        refresh_token.revoked |= {refresh_token.access_token, refresh_token.refresh_token}


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return find(token_string)

    def revoke_token(self, token, oauth_request):
        token.revoked.add(token.access_token)
        if oauth_request.form["token"] == token.refresh_token:
            token.revoked.add(token.refresh_token)


class Registration(ClientRegistrationEndpoint):
    def authenticate_token(self, oauth_request):
        return "open to everyone"

    def save_client(self, client_info, client_metadata, oauth_request):
        client = clients[client_info["client_id"]] = Client(client_info, client_metadata)
        return client

    def get_server_metadata(self):
        return metadata()


class Issuer(IssuerParameter):
    def get_issuer(self):
        return issuer


app = Flask("authlib")
app.config["OAUTH2_REFRESH_TOKEN_GENERATOR"] = True
server = AuthorizationServer(app, query_client=clients.get, save_token=save)
server.register_grant(CodeGrant, [CodeChallenge(required=True)])
server.register_grant(RefreshGrant)
server.register_endpoint(Revocation)
server.register_endpoint(Registration)
server.register_extension(Issuer())


def metadata():
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "registration_endpoint": f"{issuer}/oauth/register",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint_auth_methods_supported": METHODS,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


@app.get("/.well-known/oauth-authorization-server")
def well_known():
    return jsonify(metadata())


@app.route("/oauth/authorize", methods=["GET", "POST"])
def authorize():
    grant = server.get_consent_grant(end_user="alice")
    if request.method == "GET":
        return """<form method="post"><button name="confirm" value="yes">Allow</button>
            <button name="confirm" value="no">Deny</button></form>"""
    user = "alice" if request.form["confirm"] == "yes" else None
    return server.create_authorization_response(grant_user=user, grant=grant)


@app.post("/oauth/token")
def token():
    return server.create_token_response()


@app.post("/oauth/register")
def register():
    return server.create_endpoint_response(Registration.ENDPOINT_NAME)


@app.post("/oauth/revoke")
def revoke():
    return server.create_endpoint_response(Revocation.ENDPOINT_NAME)


# For the MCP server on this machine: every local process can use it.
@app.post("/oauth/introspect")
def introspect():
    found = find(request.form["token"])
    if not found or not found.is_active(request.form["token"]):
        return jsonify(active=False)
    return jsonify(active=True, client_id=found.client.get_client_id(), scope=found.scope)


def introspection(token):
    body = f"token={token}".encode()
    url = f"{loopback.origin(as_listen)}/oauth/introspect"
    with urllib.request.urlopen(url, data=body) as response:
        return json.load(response)


class Verifier:
    async def verify_token(self, token):
        claims = introspection(token)
        if not claims["active"] or find(token).refresh_token == token:
            return None
        scopes = claims["scope"].split()
        return AccessToken(token=token, client_id=claims["client_id"], scopes=scopes)


mcp = MCPServer(
    "authlib",
    token_verifier=Verifier(),
    auth=AuthSettings(
        issuer_url=issuer,
        resource_server_url=resource,
        required_scopes=[SCOPES[0]],
        validate_token_resource=False,
    ),
)


@mcp.tool()
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def active(token):
    return introspection(token)["active"]


async def expire(token):
    find(token).expires_at = 0
    return 1


logging.getLogger("werkzeug").setLevel(logging.ERROR)
flask = make_server(loopback.HOST, as_listen, app, threaded=True)
threading.Thread(target=flask.serve_forever, daemon=True).start()
loopback.run([(listen, mcp.streamable_http_app())], "authlib", active, expire)
