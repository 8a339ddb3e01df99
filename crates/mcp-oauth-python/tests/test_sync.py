"""The client and the session without asyncio."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcp_client_oauth import Login, OAuthError
from mcp_client_oauth.sync import Client
from testbed import Testbed


def test_a_login_lasts_until_its_logout(testbed: Testbed) -> None:
    with Client() as client:
        session = client.login(testbed.url, account="me")
        assert session.get("notes").status_code == 200
        before = session.header()
        session.refresh()
        assert session.header() != before
        assert client.logins() == [Login(testbed.url, "me")]
        assert client.login(testbed.url, account="me").is_reused
        assert session.logout().remote == "revoked"
        assert client.session(testbed.url, account="me") is None


def test_tokens_can_be_removed_without_the_server(testbed: Testbed) -> None:
    client = Client()
    client.login(testbed.url)
    assert client.remove(testbed.url)
    assert not client.remove(testbed.url)
    assert client.session(testbed.url) is None


def test_many_threads_refresh_once(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.revoke_access()
    with ThreadPoolExecutor(32) as threads:
        responses = list(threads.map(lambda _: session.get("notes"), range(64)))
    assert {response.status_code for response in responses} == {200}
    assert testbed.refreshes() == 1


def test_other_threads_run_while_a_call_waits(testbed: Testbed) -> None:
    session = Client().login(testbed.url)
    testbed.run("hold", "mcp")
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(session.get("notes").status_code))
    thread.start()
    # The response comes only if this thread runs.
    testbed.run("release")
    thread.join()
    assert statuses == [200]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_ends_a_login(testbed: Testbed, tmp_path: pathlib.Path) -> None:
    program = tmp_path / "program.py"
    # A shell starts background jobs, and so maybe these tests, with SIGINT ignored, and Python keeps that.
    program.write_text(
        "import signal\n"
        "import sys\n"
        "from mcp_client_oauth.sync import Client\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "client = Client(on_authorization_url=lambda url: print('open', flush=True))\n"
        "try:\n"
        "    client.login(sys.argv[1])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', client.logins())\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(program), testbed.url], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with process.stdout:
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted []\n"
    assert process.wait(30) == 0


def test_an_error_names_the_url_and_the_remedy(testbed: Testbed) -> None:
    client = Client(store="memory")
    with pytest.raises(OAuthError) as raised:
        client.login(testbed.issuer + "/nothing-here")
    assert testbed.issuer in str(raised.value)
    assert raised.value.remedy in ("reconfigure", "contact_server_operator")
