"""``mcp_client_oauth.httpx`` and ``.httpx2`` with the real libraries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from generations import Httpx
from mcp_client_oauth import AuthorizationError, Client, OAuthError, sync
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def test_a_request_goes_on_after_expiry_and_after_revocation(
    httpx: Httpx, testbed: Testbed
) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with httpx.client(session) as http:
        assert (await http.get(f"{testbed.url}/notes")).json() == {"notes": ["buy milk"]}
        testbed.expire()
        assert (await http.get(f"{testbed.url}/notes")).status_code == 200
        assert testbed.refreshes() == 1
        testbed.revoke_access()
        assert (await http.get(f"{testbed.url}/notes")).status_code == 200
        assert testbed.refreshes() == 2
    assert testbed.logins() == 1


def test_a_synchronous_client_goes_on_after_expiry(httpx: Httpx, testbed: Testbed) -> None:
    session = sync.Client(store="memory").login(testbed.url)
    with httpx.library.Client(auth=httpx.OAuth(session)) as http:
        assert http.get(f"{testbed.url}/notes").status_code == 200
        testbed.expire()
        assert http.get(f"{testbed.url}/notes").status_code == 200
    assert testbed.refreshes() == 1


async def test_fifty_refused_requests_cause_one_refresh(httpx: Httpx, testbed: Testbed) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with httpx.client(session) as http:
        testbed.expire()
        requests = [http.get(f"{testbed.url}/notes") for _ in range(50)]
        responses = await asyncio.gather(*requests)
    assert {response.status_code for response in responses} == {200}
    assert testbed.refreshes() == 1


async def test_a_token_that_is_bound_to_a_key_is_sent_with_a_proof(
    httpx: Httpx, dpop_testbed: Testbed
) -> None:
    session = await Client(store="memory").login(dpop_testbed.url)
    async with httpx.client(session) as http:
        response = await http.get(f"{dpop_testbed.url}/notes")
        assert response.status_code == 200
        assert response.request.headers["authorization"].startswith("DPoP ")
        dpop_testbed.revoke_access()
        assert (await http.get(f"{dpop_testbed.url}/notes")).status_code == 200
    assert dpop_testbed.refreshes() == 1


async def test_an_insufficient_scope_is_an_error_with_its_remedy(
    httpx: Httpx, testbed: Testbed
) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with httpx.client(session) as http:
        with pytest.raises(OAuthError, match="notes:write") as raised:
            await http.post(f"{testbed.url}/notes", json={"text": "bread"})
    assert raised.value.remedy
    assert testbed.logins() == 1


async def test_a_session_on_demand_logs_in_at_the_first_request_and_for_a_wider_scope(
    httpx: Httpx, testbed: Testbed
) -> None:
    session = Client(store="memory").on_demand(testbed.url)
    async with httpx.client(session) as http:
        assert testbed.requests() == []
        responses = await asyncio.gather(*[http.get(f"{testbed.url}/notes") for _ in range(5)])
        assert {response.status_code for response in responses} == {200}
        assert testbed.logins() == 1
        response = await http.post(f"{testbed.url}/notes", json={"text": "bread"})
        assert response.json() == {"text": "bread"}
    assert testbed.logins() == 2


async def test_a_url_is_enough(httpx: Httpx, testbed: Testbed) -> None:
    async with httpx.client(testbed.url) as http:
        assert (await http.get(f"{testbed.url}/notes")).status_code == 200
    async with httpx.client(testbed.url) as http:
        assert (await http.get(f"{testbed.url}/notes")).status_code == 200
    assert testbed.logins() == 1


async def test_no_token_is_sent_to_another_url(httpx: Httpx, testbed: Testbed) -> None:
    sent: list[Any] = []
    session = await Client(store="memory").login(testbed.url)
    network = httpx.library.MockTransport(lambda request: sent.append(request))
    async with httpx.client(session, transport=network) as http:
        other_port = testbed.url.replace("127.0.0.1", "127.0.0.2")
        for url in ("https://other.example/mcp", other_port, f"{testbed.issuer}/token"):
            with pytest.raises(AuthorizationError, match="is not part of"):
                await http.get(url)
    assert sent == []


async def test_a_redirect_to_another_origin_gets_no_token(
    httpx: Httpx, testbed: Testbed, other_testbed: Testbed
) -> None:
    """A 401 of the other origin does not cost a refresh either."""
    session = await Client(store="memory").login(testbed.url)
    testbed.run("redirect", other_testbed.url)
    async with httpx.client(session, follow_redirects=True) as http:
        response = await http.get(f"{testbed.url}/notes")
    assert response.status_code == 401
    assert [request["has_token"] for request in other_testbed.requests()] == [False]
    assert testbed.refreshes() == 0


async def test_a_response_is_streamed(httpx: Httpx, testbed: Testbed) -> None:
    """The server sends its second event when the client has read the first one."""
    has_read = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await has_read.wait()
        yield b"data: 2\n\n"

    def respond(_request: Any) -> Any:
        return httpx.library.Response(200, content=events())

    session = await Client(store="memory").login(testbed.url)
    network = httpx.library.MockTransport(respond)
    with anyio.fail_after(20):
        async with (
            httpx.client(session, transport=network) as http,
            http.stream("GET", testbed.url) as response,
        ):
            body = response.aiter_raw()
            assert await anext(body) == b"data: 1\n\n"
            has_read.set()
            assert await anext(body) == b"data: 2\n\n"


async def test_a_streamed_body_is_sent_once_and_the_next_request_has_another_token(
    httpx: Httpx, testbed: Testbed
) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": "bread"}'

    session = await Client(store="memory").login(testbed.url, scope="notes:read notes:write")
    async with httpx.client(session) as http:
        testbed.expire()
        assert (await http.post(f"{testbed.url}/notes", content=body())).status_code == 401
        assert testbed.refreshes() == 1
        response = await http.post(f"{testbed.url}/notes", content=body())
        assert response.json() == {"text": "bread"}
    assert testbed.refreshes() == 1


async def test_a_streamed_body_is_refused_for_its_nonce_once(
    httpx: Httpx, dpop_testbed: Testbed
) -> None:
    """The nonce is stored for the next request, and the token is not replaced."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"text": "bread"}'

    session = await Client(store="memory").login(dpop_testbed.url, scope="notes:read notes:write")
    async with httpx.client(session) as http:
        assert (await http.post(f"{dpop_testbed.url}/notes", content=body())).status_code == 401
        assert (await http.post(f"{dpop_testbed.url}/notes", content=body())).status_code == 200
    assert dpop_testbed.refreshes() == 0


async def test_no_token_is_in_the_representation(httpx: Httpx, testbed: Testbed) -> None:
    session = await Client(store="memory").login(testbed.url)
    auth = httpx.OAuth(session)
    for secret in testbed.run("secrets"):
        assert secret not in repr(auth)
