"""Clients and sessions after a fork, and in other processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

from mcp_client_oauth import Client as AsyncClient
from mcp_client_oauth.sync import Client, Session
from testbed import Testbed

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # That a process with threads forks is what is tested.
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]

#: A child that hangs is killed after this number of seconds, and its test fails.
LIMIT = 60


def in_child(work: Callable[[], object]) -> object:
    """Returns the text of the result of ``work`` in a forked process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = str(work())
        except BaseException:
            result = traceback.format_exc()
        os.write(writer, result.encode())
        os._exit(0)
    os.close(writer)
    killer = threading.Timer(LIMIT, os.kill, (child, 9))
    killer.start()
    with os.fdopen(reader) as pipe:
        result = pipe.read()
    os.waitpid(child, 0)
    killer.cancel()
    return result


def test_a_forked_process_uses_the_client_of_its_parent(testbed: Testbed) -> None:
    client = Client()
    session = client.login(testbed.url)
    assert session.get("notes").status_code == 200
    assert in_child(lambda: client.login(testbed.url).is_reused) == "True"
    assert session.get("notes").status_code == 200


def test_a_forked_process_uses_the_session_of_its_parent(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    assert session.get("notes").status_code == 200
    assert in_child(lambda: session.get("notes").status_code) == "200"
    assert in_child(session.header) == session.header()
    assert session.get("notes").status_code == 200
    assert testbed.logins() == 1


def test_a_forked_process_has_an_event_loop_of_its_own(testbed: Testbed) -> None:
    async def status() -> int:
        return (await session.get("notes")).status_code

    session = asyncio.run(AsyncClient().login(testbed.url))
    assert in_child(lambda: asyncio.run(status())) == "200"
    assert asyncio.run(status()) == 200


def test_parent_and_child_refresh_once(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.expire()
    assert in_child(lambda: session.get("notes").status_code) == "200"
    assert session.get("notes").status_code == 200
    assert testbed.refreshes() == 1


def test_a_fork_during_a_refresh_blocks_neither_process(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.expire()
    testbed.run("hold", "token")
    thread = threading.Thread(target=session.get, args=("notes",))
    thread.start()
    while testbed.run("issued") < 2:
        pass

    def work() -> int:
        testbed.run("release")
        return session.get("notes").status_code

    # The child inherits the file that the refresh has locked; the parent unlocks it at the end.
    assert in_child(work) == "200"
    thread.join()
    assert session.get("notes").status_code == 200
    assert testbed.refreshes() == 1


def test_logins_in_memory_stay_in_the_parent(testbed: Testbed) -> None:
    client = Client(store="memory")
    session = client.login(testbed.url)
    assert in_child(client.logins) == "[]"
    assert "not logged in" in str(in_child(session.header))
    assert session.get("notes").status_code == 200


def leave_a_request(session: Session) -> None:
    """Ends the process with a request in flight."""
    session.cached_header()
    threading.Thread(target=session.get, args=("notes",), daemon=True).start()
    while TESTBEDS[0].run("issued") < 2:
        pass
    TESTBEDS[0].run("release")


#: The servers of the test that forks.
TESTBEDS: list[Testbed] = []


def test_a_process_of_multiprocessing_saves_its_refresh_at_its_end(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.expire()
    testbed.run("hold", "token")
    TESTBEDS[:] = [testbed]
    context: Any = multiprocessing.get_context("fork")
    child = context.Process(target=leave_a_request, args=(session,))
    child.start()
    child.join(LIMIT)
    assert child.exitcode == 0
    assert session.get("notes").status_code == 200
    assert testbed.refreshes() == 1


def request(url: str, result: Connection) -> None:
    """Sends the status of a request, in another process."""
    session = Client().session(url)
    result.send(session and session.get("notes").status_code)


def request_with(session: Session, result: Connection) -> None:
    """Sends the status of a request with an inherited session."""
    result.send(session.get("notes").status_code)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works_with_each_start_method(testbed: Testbed, method: str) -> None:
    if method == "forkserver" and sys.platform == "win32":
        pytest.skip("Windows has no fork server")
    session = Client().login(testbed.url)
    context: Any = multiprocessing.get_context(method)
    reader, writer = context.Pipe(duplex=False)
    if method == "fork":
        child = context.Process(target=request_with, args=(session, writer))
    else:
        child = context.Process(target=request, args=(testbed.url, writer))
    child.start()
    assert reader.poll(LIMIT), "the child hangs"
    assert reader.recv() == 200
    child.join(LIMIT)
    assert child.exitcode == 0
