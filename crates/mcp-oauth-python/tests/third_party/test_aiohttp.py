"""``mcp_client_oauth.aiohttp`` with the real library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from mcp_client_oauth import AuthorizationError, Client, OAuthError
from mcp_client_oauth.aiohttp import OAuth
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def log_in(testbed: Testbed, **options: Any) -> aiohttp.ClientSession:
    session = await Client(store="memory").login(testbed.url, **options)
    return aiohttp.ClientSession(middlewares=[OAuth(session)])


async def test_a_request_goes_on_after_expiry_and_after_revocation(testbed: Testbed) -> None:
    async with await log_in(testbed) as http:
        async with http.get(f"{testbed.url}/notes") as response:
            assert await response.json() == {"notes": ["buy milk"]}
        testbed.expire()
        async with http.get(f"{testbed.url}/notes") as response:
            assert response.status == 200
        testbed.revoke_access()
        async with http.get(f"{testbed.url}/notes") as response:
            assert response.status == 200
    assert testbed.refreshes() == 2
    assert testbed.logins() == 1


async def test_fifty_refused_requests_cause_one_refresh(testbed: Testbed) -> None:
    async def status(http: aiohttp.ClientSession) -> int:
        async with http.get(f"{testbed.url}/notes") as response:
            return response.status

    async with await log_in(testbed) as http:
        testbed.expire()
        assert set(await asyncio.gather(*[status(http) for _ in range(50)])) == {200}
    assert testbed.refreshes() == 1


async def test_a_token_that_is_bound_to_a_key_is_sent_with_a_proof(dpop_testbed: Testbed) -> None:
    async with (
        await log_in(dpop_testbed) as http,
        http.get(f"{dpop_testbed.url}/notes") as response,
    ):
        assert response.status == 200


async def test_json_is_sent_again_and_the_body_of_a_generator_is_not(testbed: Testbed) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": "bread"}'

    async with await log_in(testbed, scope="notes:read notes:write") as http:
        testbed.expire()
        async with http.post(f"{testbed.url}/notes", json={"text": "bread"}) as response:
            assert await response.json() == {"text": "bread"}
        assert testbed.refreshes() == 1
        testbed.revoke_access()
        async with http.post(f"{testbed.url}/notes", data=body()) as response:
            assert response.status == 401
        async with http.post(f"{testbed.url}/notes", data=body()) as response:
            assert await response.json() == {"text": "bread"}
    assert testbed.refreshes() == 2


async def test_an_insufficient_scope_is_an_error_with_its_remedy(testbed: Testbed) -> None:
    async with await log_in(testbed) as http:
        with pytest.raises(OAuthError, match="notes:write") as raised:
            await http.post(f"{testbed.url}/notes", json={"text": "bread"})
    assert raised.value.remedy


async def test_a_redirect_to_another_origin_gets_no_token(
    testbed: Testbed, other_testbed: Testbed
) -> None:
    async with await log_in(testbed) as http:
        testbed.run("redirect", other_testbed.url)
        with pytest.raises(AuthorizationError, match="is not part of"):
            await http.get(f"{testbed.url}/notes")
        async with http.get(f"{testbed.url}/notes", allow_redirects=False) as response:
            assert response.status == 307
    assert other_testbed.requests() == []
