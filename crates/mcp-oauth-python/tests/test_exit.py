"""The end of the interpreter while the module works."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mcp_client_oauth.sync import Client
from testbed import Testbed

#: The time in which each program must end: the flush of tokens is limited to ten seconds.
LIMIT = 60

IN_A_TASK = """
import asyncio, sys
from mcp_client_oauth import Client
async def main():
    session = await Client().session(sys.argv[1])
    request = asyncio.ensure_future(session.get("notes"))
    await asyncio.sleep(0.2)
asyncio.run(main())
"""

IN_A_CLOSED_LOOP = """
import asyncio, sys
from mcp_client_oauth import Client
async def start():
    session = await Client().session(sys.argv[1])
    asyncio.ensure_future(session.get("notes"))
    await asyncio.sleep(0.2)
loop = asyncio.new_event_loop()
loop.run_until_complete(start())
loop.close()
"""

IN_A_DAEMON_THREAD = """
import sys, threading, time
from mcp_client_oauth.sync import Client
session = Client().session(sys.argv[1])
threading.Thread(target=session.get, args=("notes",), daemon=True).start()
time.sleep(0.2)
"""

IN_A_REFRESH = """
import atexit, sys, threading
from mcp_client_oauth.sync import Client
session = Client().session(sys.argv[1])
# It is called before the function of the module, which was registered earlier.
atexit.register(print, "ending", flush=True)
threading.Thread(target=session.get, args=("notes",), daemon=True).start()
sys.stdin.readline()
"""

AFTER_THE_END = """
import atexit, sys
def late():
    try:
        client.logins()
    except RuntimeError as error:
        print(error)
atexit.register(late)
from mcp_client_oauth.sync import Client
client = Client()
client.logins()
"""

UNUSED = "import mcp_client_oauth; mcp_client_oauth.Client()"


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run(
        [sys.executable, "-c", program, url],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.parametrize(
    "program",
    [IN_A_TASK, IN_A_CLOSED_LOOP, IN_A_DAEMON_THREAD, UNUSED],
    ids=["task", "closed loop", "daemon thread", "unused"],
)
def test_a_program_ends_with_a_request_in_flight(testbed: Testbed, program: str) -> None:
    Client().login(testbed.url)
    testbed.run("hold", "mcp")
    ended = run(program, testbed.url)
    assert ended.returncode == 0, ended.stderr
    assert "panicked" not in ended.stderr
    assert "Fatal" not in ended.stderr


def test_a_use_after_the_end_is_an_error(testbed: Testbed) -> None:
    ended = run(AFTER_THE_END, testbed.url)
    assert ended.returncode == 0, ended.stderr
    assert "the Python interpreter is shutting down" in ended.stdout


def test_a_refresh_is_saved_before_the_program_ends(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.revoke_access()
    testbed.run("hold", "token")
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_REFRESH, testbed.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    while testbed.run("issued") < 2:
        pass
    assert process.stdin
    assert process.stdout
    with process.stdin, process.stdout:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ending\n"
        testbed.run("release")
    assert process.wait(LIMIT) == 0
    assert session.get("notes").status_code == 200
    assert testbed.refreshes() == 1
