"""Logs in with a log of everything. No secret may be in it."""

import asyncio
import logging
import sys

from mcp_client_oauth.compat import OAuthHandler

logging.basicConfig(level=logging.DEBUG)
logging.getLogger("mcp_client_oauth").setLevel(logging.DEBUG)
handler = OAuthHandler()
tokens = asyncio.run(handler.ensure_authenticated_mcp("notes", sys.argv[1], scopes=["notes:read"]))
print(tokens.access_token, tokens.refresh_token)
