"""The client and the session for asyncio."""

from __future__ import annotations

import pytest

from mcp_client_oauth import Client, Login, OAuthError
from testbed import Testbed

pytestmark = pytest.mark.anyio


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def test_a_login_lasts_until_its_logout(testbed: Testbed) -> None:
    client = Client()
    session = await client.login(testbed.url, account="me")
    assert not session.is_reused
    assert session.account == "me"
    assert session.url == testbed.url

    response = await session.get("notes")
    assert response.status_code == 200, response.text
    header = await session.header()
    assert header.startswith("Bearer ")
    assert session.cached_header() == header

    again = await Client().login(testbed.url, account="me")
    assert again.is_reused
    assert testbed.logins() == 1
    assert await client.logins() == [Login(testbed.url, "me")]

    logout = await session.logout()
    assert logout.removed
    assert logout.remote == "revoked"
    assert await client.session(testbed.url, account="me") is None
    assert await client.logins() == []


async def test_a_token_that_was_revoked_is_replaced(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    before = await session.header()
    testbed.revoke_access()
    response = await session.get("notes")
    assert response.status_code == 200
    assert testbed.refreshes() == 1
    assert await session.header() != before


async def test_a_login_that_the_server_revoked_must_be_repeated(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    testbed.revoke_all()
    with pytest.raises(OAuthError) as raised:
        await session.get("notes")
    assert raised.value.remedy == "log_in"
    assert raised.value.error == "invalid_grant"
