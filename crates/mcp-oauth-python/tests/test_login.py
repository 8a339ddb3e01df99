"""The options of a login, and a login in two requests."""

from __future__ import annotations

import datetime
import subprocess
import sys
import urllib.parse
from collections.abc import Iterator

import pytest

from mcp_client_oauth import AuthorizationError, DeviceCode, client_metadata_document
from mcp_client_oauth.sync import Client
from testbed import BROWSER, Testbed


@pytest.fixture
def device_testbed() -> Iterator[Testbed]:
    """Starts servers that issue device codes."""
    servers = Testbed("device")
    yield servers
    servers.stop()


def test_a_device_code_is_shown(device_testbed: Testbed) -> None:
    testbed = device_testbed
    codes: list[DeviceCode] = []

    def enter(code: DeviceCode) -> None:
        codes.append(code)
        assert code.verification_uri_complete
        subprocess.Popen(BROWSER.replace("%s", code.verification_uri_complete).split())

    client = Client(on_device_code=enter)
    session = client.login(testbed.url, grant="device_code")
    assert session.get("notes").status_code == 200
    assert codes[0].verification_uri.startswith(testbed.issuer)
    assert codes[0].expires_at > datetime.datetime.now(datetime.timezone.utc)
    assert not codes[0].is_third_party_host


def test_an_error_in_a_function_of_the_application_does_not_hide(
    testbed: Testbed, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(url: str) -> None:
        raise LookupError("no window")

    reports: list[BaseException | None] = []
    hook = sys.unraisablehook
    sys.unraisablehook = lambda report: reports.append(report.exc_value)
    try:
        with pytest.raises(AuthorizationError, match="timed out"):
            Client(on_authorization_url=fail).login(testbed.url, timeout=0.5)
    finally:
        sys.unraisablehook = hook
    assert [str(report) for report in reports] == ["'no window'"] or "no window" in str(reports)


def test_the_granted_scope_and_the_expiry_are_known(testbed: Testbed) -> None:
    session = Client(store="memory").login(testbed.url, scope=["notes:read", "notes:write"])
    assert session.scope
    assert set(session.scope.split()) == {"notes:read", "notes:write"}
    assert session.missing_scope is None
    assert session.expires_at
    left = session.expires_at - datetime.datetime.now(datetime.timezone.utc)
    assert 0 < left.total_seconds() <= testbed.lifetime


def test_two_accounts_are_two_logins(testbed: Testbed) -> None:
    client = Client()
    one = client.login(testbed.url, account="one")
    two = client.login(testbed.url, account="two")
    assert one.header() != two.header()
    assert [login.account for login in client.logins()] == ["one", "two"]
    client.logout(testbed.url, account="one")
    assert [login.account for login in client.logins()] == ["two"]


def test_a_login_can_be_repeated(testbed: Testbed) -> None:
    client = Client()
    client.login(testbed.url)
    assert not client.login(testbed.url, reauthenticate=True).is_reused
    assert not client.login(testbed.url, force=True).is_reused
    assert testbed.logins() == 3


def test_a_login_is_in_the_store_that_it_was_given(testbed: Testbed, tmp_path: object) -> None:
    spec = f"file:{tmp_path}/tokens"
    Client(store=spec).login(testbed.url)
    assert Client(store=spec).session(testbed.url)
    assert Client().session(testbed.url) is None


def test_a_web_application_logs_in_by_two_requests(testbed: Testbed) -> None:
    redirect_uri = "https://app.example/callback"
    begun = Client().begin(
        testbed.url, redirect_uri=redirect_uri, account="user-1", return_to="/settings"
    )
    other = Client().begin(testbed.url, redirect_uri=redirect_uri, account="user-1")
    callback = approve(begun.url, redirect_uri)
    other_host = Client()
    with pytest.raises(AuthorizationError, match="another browser") as raised:
        other_host.finish(callback, other.browser_secret)
    assert raised.value.remedy == "log_in"
    session = other_host.finish(callback, begun.browser_secret)
    assert session.account == "user-1"
    assert session.return_to == "/settings"
    assert session.get("notes").status_code == 200
    with pytest.raises(AuthorizationError, match="no login is pending"):
        other_host.finish(callback, begun.browser_secret)


def approve(url: str, redirect_uri: str) -> str:
    """Approves as the user, and returns the URL of the callback."""
    script = (
        "import sys, user\n"
        "class Found(Exception): pass\n"
        "open_url = user.BROWSER.open\n"
        "def follow(url, *rest):\n"
        "    if url.startswith(sys.argv[2]): raise Found(url)\n"
        "    return open_url(url, *rest)\n"
        "user.BROWSER.open = follow\n"
        "try: user.approve(sys.argv[1])\n"
        "except Found as found: print(found)\n"
    )
    harness = BROWSER.split()[1].rsplit("/", 1)[0]
    found = subprocess.run(
        [sys.executable, "-c", script, url, redirect_uri],
        env={"PYTHONPATH": harness},
        capture_output=True,
        text=True,
        check=True,
    )
    assert urllib.parse.urlsplit(found.stdout).query
    return found.stdout.strip()


def test_a_client_metadata_document_names_its_url() -> None:
    document = client_metadata_document(
        "https://app.example/client.json", "My App", ["https://app.example/callback"]
    )
    assert document["client_id"] == "https://app.example/client.json"
    assert document["redirect_uris"] == ["https://app.example/callback"]
    assert document["token_endpoint_auth_method"] == "none"
