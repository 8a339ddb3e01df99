"""`OAuthHandler`: what a program of the old library relies on, and what was promised to it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_client_oauth import Client
from mcp_client_oauth.compat import (
    AuthorizationError,
    DiscoveryError,
    HTTPStatusError,
    NetworkError,
    OAuthConfig,
    OAuthHandler,
    TokenManager,
    TokenStoreBackend,
)
from testbed import Testbed

SCOPES = ["notes:read"]


@pytest.fixture
def handler() -> OAuthHandler:
    return OAuthHandler(TokenManager(backend=TokenStoreBackend.ENCRYPTED_FILE))


def test_two_names_for_one_server_are_two_logins(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> None:
        one = await handler.ensure_authenticated_mcp("one", testbed.url, SCOPES)
        two = await handler.ensure_authenticated_mcp("two", testbed.url, SCOPES)
        assert one.access_token != two.access_token
        assert handler.get_authorization_header("one") == f"Bearer {one.access_token}"
        await handler.logout("one", testbed.url)
        response = await handler.authenticated_request("two", testbed.url, f"{testbed.url}/notes")
        assert response.status_code == 200

    asyncio.run(main())
    assert testbed.logins() == 2


def test_a_name_with_another_server_finds_no_tokens_there(
    handler: OAuthHandler, testbed: Testbed, other_testbed: Testbed
) -> None:
    async def main() -> None:
        one = await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        two = await handler.ensure_authenticated_mcp("notes", other_testbed.url, SCOPES)
        assert one.access_token != two.access_token
        with pytest.raises(ValueError, match="several servers"):
            handler.get_authorization_header("notes")

    asyncio.run(main())
    with pytest.raises(Exception, match="several servers"):
        handler.token_manager.load_tokens("notes")
    handler.clear_tokens("notes")
    assert handler.token_manager.load_tokens("notes") is None


def test_logins_are_those_of_the_client(handler: OAuthHandler, testbed: Testbed) -> None:
    asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES))

    async def main() -> Any:
        return await Client().session(testbed.url, account="notes")

    assert asyncio.run(main()) is not None


def test_tasks_share_a_login(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> set[str]:
        calls = (
            handler.prepare_headers_for_mcp_server("n", testbed.url, SCOPES) for _ in range(20)
        )
        return {headers["Authorization"] for headers in await asyncio.gather(*calls)}

    assert len(asyncio.run(main())) == 1
    assert testbed.logins() == 1


def test_more_scopes_lead_to_a_login(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> None:
        await handler.ensure_authenticated_mcp("notes", testbed.url, ["notes:read"])
        await handler.ensure_authenticated_mcp("notes", testbed.url, ["notes:read"])
        assert testbed.logins() == 1
        wide = ["notes:read", "notes:write"]
        tokens = await handler.ensure_authenticated_mcp("notes", testbed.url, wide)
        assert set((tokens.scope or "").split()) >= set(wide)
        await handler.prepare_headers_for_mcp_server("notes", testbed.url, ["notes:write"])
        assert testbed.logins() == 2

    asyncio.run(main())


def test_a_token_that_expires_is_refreshed(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> None:
        await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        testbed.expire()
        for _ in range(3):
            response = await handler.authenticated_request(
                "notes", testbed.url, f"{testbed.url}/notes"
            )
            assert response.status_code == 200

    asyncio.run(main())
    assert (testbed.logins(), testbed.refreshes()) == (1, 1)


def test_a_refresh_that_is_refused_leads_to_a_login(
    handler: OAuthHandler, testbed: Testbed
) -> None:
    async def main() -> None:
        await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        testbed.revoke_all()
        response = await handler.authenticated_request("notes", testbed.url, f"{testbed.url}/notes")
        assert response.status_code == 200

    asyncio.run(main())
    assert testbed.logins() == 2


def test_a_token_is_sent_only_to_its_server(
    handler: OAuthHandler, testbed: Testbed, other_testbed: Testbed
) -> None:
    async def main() -> None:
        with pytest.raises(AuthorizationError):
            await handler.authenticated_request("notes", testbed.url, f"{other_testbed.url}/notes")

    asyncio.run(main())
    assert not [request for request in other_testbed.requests() if request["method"] == "GET"]


def test_extra_headers_are_kept(handler: OAuthHandler, testbed: Testbed) -> None:
    extra = {"authorization": "mine", "X-Custom": "1"}

    async def main() -> None:
        headers = await handler.prepare_headers_for_mcp_server(
            "notes", testbed.url, SCOPES, extra_headers=extra
        )
        assert sorted(headers) == ["Authorization", "X-Custom"]
        sent = {"Accept": "application/json"}
        await handler.authenticated_request(
            "notes", testbed.url, f"{testbed.url}/notes", headers=sent
        )
        assert sent == {"Accept": "application/json"}

    asyncio.run(main())
    assert extra == {"authorization": "mine", "X-Custom": "1"}


def test_a_server_configuration(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> None:
        remote = SimpleNamespace(name="notes", url=testbed.url, command=None, oauth=None)
        headers = await handler.prepare_server_headers(remote, {"X-Custom": "1"})
        assert headers["Authorization"].startswith("Bearer ")
        local = SimpleNamespace(name="local", url=None, command="server", oauth=None)
        assert await handler.prepare_server_headers(local, {"X-Custom": "1"}) == {"X-Custom": "1"}

    asyncio.run(main())


def test_pkce_cannot_be_switched_off(handler: OAuthHandler) -> None:
    config = OAuthConfig(
        authorization_url="http://127.0.0.1:1/a", token_url="http://127.0.0.1:1/t", use_pkce=False
    )
    with pytest.raises(ValueError, match="PKCE"):
        asyncio.run(handler.ensure_authenticated("name", config))


def test_an_error_has_the_name_of_its_step(handler: OAuthHandler) -> None:
    with pytest.raises(DiscoveryError) as raised:
        asyncio.run(handler.ensure_authenticated_mcp("notes", "http://127.0.0.1:9/mcp"))
    assert isinstance(raised.value, NetworkError)
    assert "http://127.0.0.1:9" in str(raised.value)


def test_the_outcome_of_a_logout_is_reported(handler: OAuthHandler, testbed: Testbed) -> None:
    async def main() -> None:
        await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        outcome = await handler.logout("notes", testbed.url)
        assert outcome is not None
        assert outcome.remote == "revoked"
        await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        testbed.stop()
        outcome = await handler.logout("notes", testbed.url)
        assert outcome is not None
        assert (outcome.removed, outcome.remote) == (True, "failed")

    asyncio.run(main())
    assert handler.token_manager.load_tokens("notes") is None


def test_a_prepared_header_does_not_cross_the_async_runtime(
    handler: OAuthHandler, testbed: Testbed
) -> None:
    async def main() -> dict[str, str]:
        await handler.ensure_authenticated_mcp("notes", testbed.url, SCOPES)
        # The coroutine ends at once: it waits for nothing.
        with pytest.raises(StopIteration) as end:
            handler.prepare_headers_for_mcp_server("notes", testbed.url, SCOPES).send(None)
        headers: dict[str, str] = end.value.value
        return headers

    assert asyncio.run(main()) == {"Authorization": handler.get_authorization_header("notes")}


WITHOUT_HTTPX = """
import asyncio, sys
from mcp_client_oauth.compat import HTTPStatusError, OAuthHandler
url = sys.argv[1]
handler = OAuthHandler()
response = asyncio.run(handler.authenticated_request("n", url, f"{url}/notes", params={"a": 1}))
assert response.status_code == 200 and response.headers["Content-Type"]
try:
    asyncio.run(handler.authenticated_request("n", url, f"{url}/no-such-path"))
except HTTPStatusError as error:
    assert error.response.status_code == 404
else:
    raise AssertionError
assert not {"httpx", "pydantic", "cryptography"} & set(sys.modules)
"""


def test_no_other_package_is_needed(testbed: Testbed) -> None:
    subprocess.run([sys.executable, "-c", WITHOUT_HTTPX, testbed.url], check=True, timeout=60)


def test_an_error_status_is_one_of_httpx_too(handler: OAuthHandler, testbed: Testbed) -> None:
    import httpx

    for kind in (httpx.HTTPStatusError, HTTPStatusError):
        with pytest.raises(kind, match="HTTP 404"):
            asyncio.run(
                handler.authenticated_request("n", testbed.url, f"{testbed.url}/no-such-path")
            )
