"""`MCPOAuthClient` and `OAuthFlow`: each step of a login alone."""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from types import SimpleNamespace

import pytest

from browser import approve_until
from mcp_client_oauth.compat import (
    AuthorizationError,
    MCPOAuthClient,
    OAuthConfig,
    OAuthFlow,
    TokenExchangeError,
    TokenRefreshError,
)
from testbed import Testbed

REDIRECT_URI = "http://127.0.0.1:1/callback"


async def registered(testbed: Testbed) -> MCPOAuthClient:
    client = MCPOAuthClient(testbed.url, redirect_uri=REDIRECT_URI)
    await client.discover_authorization_server()
    await client.register_client("My App")
    return client


def query(url: str, name: str) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)[name][0]


def test_a_callback_is_exchanged_once(testbed: Testbed) -> None:
    async def main() -> None:
        client = await registered(testbed)
        url = client.get_authorization_url(["notes:read"])
        assert query(url, "code_challenge_method") == "S256"
        assert query(url, "resource") == testbed.url
        assert len(query(url, "state")) >= 43
        callback = approve_until(url, REDIRECT_URI)
        tokens = await client.exchange_code_for_token(callback)
        assert tokens.scope == "notes:read"
        assert tokens.refresh_token
        with pytest.raises(ValueError, match="get_authorization_url"):
            await client.exchange_code_for_token(callback)
        new = await client.refresh_token(tokens.refresh_token)
        assert new.access_token != tokens.access_token

    asyncio.run(main())


def test_a_bare_code_is_exchanged_with_a_warning(
    testbed: Testbed, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        client = await registered(testbed)
        code = query(approve_until(client.get_authorization_url(), REDIRECT_URI), "code")
        assert (await client.exchange_code_for_token(code)).access_token
        assert code not in caplog.text

    with caplog.at_level(logging.DEBUG):
        asyncio.run(main())
    assert "not checked" in caplog.text


def test_the_callback_of_another_login_is_refused(testbed: Testbed) -> None:
    async def main() -> None:
        client = await registered(testbed)
        callback = approve_until(client.get_authorization_url(), REDIRECT_URI)
        client.get_authorization_url()
        with pytest.raises(AuthorizationError, match="does not belong to this login"):
            await client.exchange_code_for_token(callback)

    asyncio.run(main())
    assert testbed.logins() == 0


def test_a_wrong_code_and_a_wrong_refresh_token(testbed: Testbed) -> None:
    async def main() -> None:
        client = await registered(testbed)
        client.get_authorization_url()
        with pytest.raises(TokenExchangeError, match="invalid_grant"):
            await client.exchange_code_for_token("no-such-code")
        with pytest.raises(TokenRefreshError, match="invalid_grant"):
            await client.refresh_token("no-such-token")

    asyncio.run(main())


def test_steps_in_the_wrong_order_are_reported(testbed: Testbed) -> None:
    async def main() -> None:
        client = MCPOAuthClient(testbed.url, redirect_uri=REDIRECT_URI)
        with pytest.raises(ValueError, match="discover_authorization_server"):
            client.get_authorization_url()
        await client.discover_authorization_server()
        with pytest.raises(ValueError, match="register_client"):
            client.get_authorization_url()

    asyncio.run(main())


def test_the_metadata_of_a_challenge(testbed: Testbed) -> None:
    parse = MCPOAuthClient.parse_www_authenticate_header
    url = "https://mcp.example.com/.well-known/oauth-protected-resource"
    assert parse(f'Bearer realm="a, resource_metadata=b", resource_metadata="{url}"') == url
    assert parse(f"Bearer resource_metadata={url}") == url
    assert parse("Basic realm=x") is None

    async def main() -> None:
        origin = testbed.url.removesuffix("/mcp")
        well_known = f"{origin}/.well-known/oauth-protected-resource/mcp"
        client = MCPOAuthClient(testbed.url)
        headers = {"www-authenticate": f'Bearer resource_metadata="{well_known}"'}
        response = SimpleNamespace(status_code=401, headers=headers)
        found = await client.discover_from_error_response(response)
        assert found is not None
        assert (found.resource, found.authorization_servers) == (testbed.url, [testbed.issuer])
        found = await client.discover_protected_resource(well_known)
        assert found.scopes_supported
        assert await client.discover_from_error_response(SimpleNamespace(status_code=200)) is None

    asyncio.run(main())


def test_a_port_of_its_own(testbed: Testbed) -> None:
    first, second = MCPOAuthClient(testbed.url), MCPOAuthClient(testbed.url)
    assert first.redirect_uri.startswith("http://127.0.0.1:")
    assert first.redirect_uri != second.redirect_uri
    assert asyncio.run(first.authorize(["notes:read"])).access_token


def test_the_url_of_a_configuration() -> None:
    config = OAuthConfig(
        authorization_url="https://as.example/authorize?tenant=1",
        token_url="https://as.example/token",
        client_id="my-client",
        scopes=["a", "b"],
        extra_auth_params={"audience": "api"},
    )
    url = OAuthFlow(config).get_authorization_url()
    expected = {
        "tenant": "1",
        "client_id": "my-client",
        "scope": "a b",
        "audience": "api",
        "redirect_uri": "http://localhost:8080/callback",
        "code_challenge_method": "S256",
    }
    assert {name: query(url, name) for name in expected} == expected
    assert "resource" not in url
    with pytest.raises(ValueError, match="reserved"):
        OAuthFlow(
            OAuthConfig(
                authorization_url=config.authorization_url,
                token_url=config.token_url,
                client_id="c",
                extra_auth_params={"state": "fixed"},
            )
        )
