"""What each MCP client must survive."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from testbed import Testbed

#: The tools of the testbed.
TOOLS = {"add", "list_notes", "whoami", "write_note"}


async def survives_expiry_and_revocation(
    testbed: Testbed, add: Callable[[int, int], Awaitable[Any]]
) -> None:
    """Calls a tool, also after the token has expired and after it was revoked. The user logs in once."""
    assert "3" in str(await add(1, 2))
    testbed.expire()
    assert "5" in str(await add(2, 3))
    testbed.revoke_access()
    assert "7" in str(await add(3, 4))
    calls = [r for r in testbed.requests() if r["rpc"] == "tools/call" and r["status"] == 200]
    assert len(calls) == 3
    assert testbed.refreshes() == 2
    assert testbed.logins() == 1
