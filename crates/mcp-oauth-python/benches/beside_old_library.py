"""Measures this package beside `chuk-mcp-client-oauth` 0.4, in one run, and prints the ratio of each.

Run it in an environment with both packages (tests/requirements.txt), with a release build of this one and of
the testbed:

    cargo build --release -p mcp-oauth-testbed --example control
    python benches/beside_old_library.py
"""

from __future__ import annotations

import asyncio
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

REQUESTS = 300
CALLS = 20_000
PROCESSES = 7
STORES = 7
PASSWORD = "a-password"


def main() -> None:
    """Runs all measurements in a home directory of their own."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent"
        from testbed import BROWSER, Testbed

        os.environ["BROWSER"] = BROWSER
        testbed = Testbed()
        try:
            asyncio.run(measure(testbed.url))
        finally:
            testbed.stop()
    print("\nLess is better, except for requests per second.")


async def measure(url: str) -> None:
    """Logs in once, gives both packages the same tokens, and measures."""
    import httpx

    from mcp_client_oauth import Client
    from mcp_client_oauth.compat import OAuthHandler, TokenManager, TokenStoreBackend

    old: Any = importlib.import_module("chuk_mcp_client_oauth")
    ours = OAuthHandler(TokenManager(backend=TokenStoreBackend.ENCRYPTED_FILE))
    tokens = await ours.ensure_authenticated_mcp("notes", url)
    session = await Client().session(url, account="notes")
    assert session is not None

    def old_manager() -> Any:
        backend = old.TokenStoreBackend.ENCRYPTED_FILE
        return old.TokenManager(backend=backend, password=PASSWORD)

    # Without a lifetime: the old package treats a token of five minutes as expired.
    members = {**tokens.model_dump(), "expires_in": 36_000}
    old_manager().save_tokens("notes", old.OAuthTokens(**members))
    theirs = old.OAuthHandler(old_manager())
    page = f"{url}/notes"
    http = httpx.AsyncClient(headers={"Authorization": tokens.get_authorization_header()})

    title("authenticated requests per second, one after the other")
    before = await per_second(lambda: theirs.authenticated_request("notes", url, page))
    row("chuk-mcp-client-oauth", f"{before:.0f}")
    for name, request in (
        ("shared httpx.AsyncClient", lambda: http.get(page)),
        ("mcp_client_oauth.compat", lambda: ours.authenticated_request("notes", url, page)),
        ("mcp_client_oauth", lambda: session.get("notes")),
    ):
        after = await per_second(request)
        row(name, f"{after:.0f}", after / before)
    await http.aclose()

    title("header of a name, in microseconds")
    before = call(lambda: theirs.get_authorization_header("notes"))
    row("chuk-mcp-client-oauth", f"{before:.2f}")
    after = call(lambda: ours.get_authorization_header("notes"))
    row("mcp_client_oauth.compat", f"{after:.2f}", before / after)
    after = call(session.cached_header)
    row("mcp_client_oauth", f"{after:.2f}", before / after)

    title("prepared headers, in microseconds")
    before = call(lambda: run(theirs.prepare_headers_for_mcp_server("notes", url)))
    row("chuk-mcp-client-oauth", f"{before:.2f}")
    after = call(lambda: run(ours.prepare_headers_for_mcp_server("notes", url)))
    row("mcp_client_oauth.compat", f"{after:.2f}", before / after)

    title("start of a process with the import, in milliseconds")
    nothing = start("pass")
    row("python alone", f"{nothing:.0f}")
    before = start("import chuk_mcp_client_oauth")
    row("chuk-mcp-client-oauth", f"{before:.0f}")
    for name in ("mcp_client_oauth.compat", "mcp_client_oauth"):
        after = start(f"import {name}")
        row(name, f"{after:.0f}", before / after)

    title("opening the store and reading one login, in milliseconds")
    before = milliseconds(lambda: old_manager().load_tokens("notes"))
    row("chuk-mcp-client-oauth, password (480,000 rounds)", f"{before:.1f}")

    def manager(password: str | None = None) -> TokenManager:
        return TokenManager(backend=TokenStoreBackend.ENCRYPTED_FILE, password=password)

    manager(PASSWORD).save_tokens("notes", tokens)
    after = milliseconds(lambda: manager(PASSWORD).load_tokens("notes"))
    row("mcp_client_oauth.compat, password (600,000 rounds)", f"{after:.1f}", before / after)
    after = milliseconds(lambda: manager().load_tokens("notes"))
    row("mcp_client_oauth.compat, no password", f"{after:.1f}", before / after)


async def per_second(request: Callable[[], Awaitable[Any]]) -> float:
    """Returns the number of requests in a second, in the best of three rounds."""
    clock = asyncio.get_running_loop().time
    rounds = []
    for _ in range(3):
        started = clock()
        for _ in range(REQUESTS):
            response = await request()
            assert response.status_code == 200
        rounds.append(REQUESTS / (clock() - started))
    return max(rounds)


def call(work: Callable[[], object]) -> float:
    """Returns the time of one call in microseconds, in the best of five rounds."""
    return min(timeit.repeat(work, number=CALLS, repeat=5)) / CALLS * 1e6


def run(coroutine: Coroutine[Any, Any, object]) -> object:
    """Runs a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


def start(code: str) -> float:
    """Returns the median time of a process in milliseconds."""
    command = [sys.executable, "-c", code]
    run_it = lambda: subprocess.run(command, check=True)  # noqa: E731
    return statistics.median(timeit.repeat(run_it, number=1, repeat=PROCESSES)) * 1e3


def milliseconds(work: Callable[[], object]) -> float:
    """Returns the median time of a call in milliseconds."""
    return statistics.median(timeit.repeat(work, number=1, repeat=STORES)) * 1e3


def title(text: str) -> None:
    """Prints the title of a measurement."""
    print(f"\n{text}")


def row(name: str, figure: str, ratio: float | None = None) -> None:
    """Prints a figure, and how much better it is than that of the old package."""
    better = "" if ratio is None else f"  {ratio:.1f} times"
    print(f"  {name:<52}{figure:>8}{better}", flush=True)


if __name__ == "__main__":
    main()
