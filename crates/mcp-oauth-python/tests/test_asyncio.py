"""Tasks, event loops and cancellation."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.parse
from collections.abc import Callable

import pytest

from mcp_client_oauth import Client, OAuthError, sync
from testbed import Testbed

pytestmark = pytest.mark.anyio

#: Longer than any operation takes here: an operation that hangs fails its test.
LIMIT = 60


@pytest.fixture(
    params=[
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ]
)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


async def until(condition: Callable[[], bool]) -> None:
    """Waits for other tasks and processes."""
    for _ in range(LIMIT * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def test_a_cancelled_login_closes_its_listener_and_stores_nothing(testbed: Testbed) -> None:
    urls: list[str] = []
    client = Client(on_authorization_url=urls.append)
    login = asyncio.create_task(client.login(testbed.url))
    await until(lambda: bool(urls))
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(urls[0]).query)
    port = urllib.parse.urlsplit(query["redirect_uri"][0]).port
    assert port
    with socket.create_connection(("127.0.0.1", port)):
        pass
    login.cancel()
    with pytest.raises(asyncio.CancelledError):
        await login

    def is_closed() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    await until(is_closed)
    assert await client.logins() == []


async def test_a_login_that_takes_too_long_is_ended_by_the_caller(testbed: Testbed) -> None:
    client = Client(on_authorization_url=lambda url: None)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(client.login(testbed.url), 0.5)


async def test_the_time_limit_of_a_login_is_an_error(testbed: Testbed) -> None:
    client = Client(on_authorization_url=lambda url: None)
    with pytest.raises(OAuthError, match="timed out after 1 s") as raised:
        await client.login(testbed.url, timeout=1)
    assert raised.value.remedy == "log_in"


async def test_the_event_loop_runs_while_a_request_waits(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    testbed.run("hold", "mcp")
    request = asyncio.create_task(session.get("notes"))
    await until(lambda: any(r["path"].endswith("/notes") for r in testbed.requests()))
    assert not request.done()
    # The response comes only if this line runs.
    testbed.run("release")
    assert (await asyncio.wait_for(request, LIMIT)).status_code == 200


async def test_a_refresh_goes_on_if_its_caller_is_cancelled(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    before = await session.header()
    testbed.expire()
    testbed.run("hold", "token")
    caller = asyncio.create_task(session.get("notes"))
    await until(lambda: testbed.run("issued") == 2)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    testbed.run("release")

    async with Client() as other:
        stored = await other.session(testbed.url)
        assert stored
        response = await stored.get("notes")
    assert response.status_code == 200
    assert await stored.header() != before
    assert testbed.refreshes() == 1


async def test_a_hundred_tasks_refresh_once(testbed: Testbed) -> None:
    session = await Client().login(testbed.url)
    testbed.revoke_access()
    responses = await asyncio.gather(*(session.get("notes") for _ in range(100)))
    assert {response.status_code for response in responses} == {200}
    assert testbed.refreshes() == 1


async def test_two_event_loops_share_a_session(testbed: Testbed) -> None:
    client = Client()
    session = await client.login(testbed.url)
    statuses: list[int] = []

    def other_loop() -> None:
        async def request() -> int:
            return (await session.get("notes")).status_code

        statuses.append(asyncio.run(request()))

    thread = threading.Thread(target=other_loop)
    thread.start()
    statuses.append((await session.get("notes")).status_code)
    await asyncio.to_thread(thread.join)
    assert statuses == [200, 200]


async def test_a_call_without_asyncio_works_in_a_running_event_loop(testbed: Testbed) -> None:
    session = sync.Client().login(testbed.url)
    assert session.get("notes").status_code == 200


async def test_a_session_logs_in_on_demand_once(testbed: Testbed) -> None:
    client = Client()
    session = client.on_demand(testbed.url)
    assert session.cached_header() is None
    assert testbed.requests() == []
    headers = await asyncio.gather(*(session.header() for _ in range(10)))
    assert len(set(headers)) == 1
    assert testbed.logins() == 1
    assert client.on_demand(testbed.url).cached_header() is None
    assert await client.on_demand(testbed.url).header() == headers[0]
