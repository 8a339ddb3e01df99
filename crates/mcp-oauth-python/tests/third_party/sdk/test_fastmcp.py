"""The client of FastMCP: 4.x with httpx2, 3.x with httpx."""

from __future__ import annotations

from typing import Any

import fastmcp
import pytest

from generations import Httpx
from mcp_client_oauth import AuthorizationError, Client, OAuthError
from scenario import TOOLS, survives_expiry_and_revocation
from testbed import Testbed

pytestmark = pytest.mark.anyio


async def test_a_client_goes_on(testbed: Testbed, sdk_httpx: Httpx) -> None:
    session = await Client(store="memory").login(testbed.url)
    async with fastmcp.Client(testbed.url, auth=sdk_httpx.OAuth(session)) as client:
        assert {tool.name for tool in await client.list_tools()} == TOOLS

        async def add(a: int, b: int) -> Any:
            return (await client.call_tool("add", {"a": a, "b": b})).content

        await survives_expiry_and_revocation(testbed, add)


async def test_the_url_is_enough(testbed: Testbed, sdk_httpx: Httpx) -> None:
    """The login is stored: the second client does not ask the user."""
    for _ in range(2):
        async with fastmcp.Client(testbed.url, auth=sdk_httpx.OAuth(testbed.url)) as client:
            assert {tool.name for tool in await client.list_tools()} == TOOLS
    assert testbed.logins() == 1


async def test_an_insufficient_scope_is_an_error_with_its_remedy(
    testbed: Testbed, sdk_httpx: Httpx
) -> None:
    session = await Client(store="memory").login(testbed.url)
    with pytest.raises(AuthorizationError, match="notes:write") as raised:
        async with fastmcp.Client(testbed.url, auth=sdk_httpx.OAuth(session)) as client:
            await client.call_tool("write_note", {"text": "bread"})
    assert raised.value.remedy == "log_in"


async def test_a_login_that_was_revoked_is_an_error_with_its_remedy(
    testbed: Testbed, sdk_httpx: Httpx
) -> None:
    session = await Client(store="memory").login(testbed.url)
    with pytest.raises(OAuthError) as raised:
        async with fastmcp.Client(testbed.url, auth=sdk_httpx.OAuth(session)) as client:
            # After its response, no notification of the start is pending.
            await client.list_tools()
            testbed.revoke_all()
            await client.call_tool("add", {"a": 1, "b": 2})
    assert raised.value.remedy == "log_in"
