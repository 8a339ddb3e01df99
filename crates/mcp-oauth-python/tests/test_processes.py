"""Many processes with one login, and a process that is killed."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from mcp_client_oauth import TokenRefreshError
from mcp_client_oauth.sync import Client
from testbed import Testbed

#: The processes that meet one expired token.
PROCESSES = 32

WAITS = """
import sys
from mcp_client_oauth.sync import Client
session = Client().session(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(session.get("notes").status_code, flush=True)
"""


def start(url: str) -> subprocess.Popen[str]:
    """Starts a process with an open session, which sends a request after a line on its stdin."""
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def test_one_of_many_processes_refreshes_an_expired_token(testbed: Testbed) -> None:
    Client().login(testbed.url)
    processes = [start(testbed.url) for _ in range(PROCESSES)]
    testbed.revoke_access()
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    statuses = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert statuses == ["200"] * PROCESSES
    assert testbed.refreshes() == 1


def test_a_process_that_is_killed_before_its_refresh_loses_nothing(testbed: Testbed) -> None:
    Client().login(testbed.url)
    process = start(testbed.url)
    process.kill()
    process.communicate()
    testbed.revoke_access()
    session = Client().session(testbed.url)
    assert session
    assert session.get("notes").status_code == 200


def test_a_process_that_is_killed_in_a_refresh_is_reported(testbed: Testbed) -> None:
    """The response that was lost had the only refresh token: no client can prevent that. The error says what
    happened, and a new login works."""
    client = Client()
    client.login(testbed.url)
    process = start(testbed.url)
    testbed.revoke_access()
    testbed.run("hold", "token")
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    while testbed.run("issued") < 2:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    testbed.run("release")

    session = client.session(testbed.url)
    assert session
    with pytest.raises(TokenRefreshError, match="interrupted before its response was") as raised:
        session.refresh()
    assert raised.value.remedy == "log_in"
    assert client.login(testbed.url).get("notes").status_code == 200
