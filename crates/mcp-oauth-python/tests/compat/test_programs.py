"""Programs that users of `chuk-mcp-client-oauth` have: its documented examples, with the import changed."""

from __future__ import annotations

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import urllib.request

import pytest

from browser import approve
from testbed import ROOT, Testbed

PROGRAMS = pathlib.Path(__file__).parent / "programs"
SOURCES = pathlib.Path(__file__).parents[2] / "python"


class Program:
    """A program that runs in its own process, with the home directory and the browser of the test."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / f"{name}.py"), *arguments],
            env={**os.environ, "PYTHONPATH": str(SOURCES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read_until(self, word: str) -> str:
        """Returns the first line that begins with a word."""
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(word):
                return line.strip()
        raise AssertionError(self.finish())

    def finish(self, line: str = "") -> list[str]:
        """Sends a line, waits for the end, and returns the lines of its output."""
        output, errors = self.process.communicate(f"{line}\n", timeout=60)
        assert self.process.returncode == 0, errors
        return output.splitlines()


def run(name: str, *arguments: str) -> list[str]:
    """Runs a program to its end."""
    return Program(name, *arguments).finish()


def free_port() -> int:
    """Returns a port that no process listens to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


WITH_A_SERVER = {
    "minimal": ["header Bearer at_"],
    "first_login": ["same token: True"],
    "mcp_session": ["tools: add list_notes whoami write_note"],
    "discovery": [
        "endpoint /authorize",
        "endpoint /token",
        "endpoint /register",
        "scopes: True",
        "PKCE: S256",
    ],
    "command_line_tool": ["expires in 300"],
    "several_servers": ["two logins: True", "one 200", "two 200"],
    "headers_and_logout": [
        "before: None",
        "header: Bearer ",
        "headers: Authorization X-Custom unchanged: True",
        "cleared: None",
        "logged out: None",
        "stored: None",
    ],
}
WITHOUT_A_SERVER = {
    "storage": [
        "before: None",
        "loaded: an-access-token read write",
        "valid",
        "deleted: True False",
    ],
    "explicit_stores": ["with a password: True", "in a directory: True", "plaintext: False"],
    "available_stores": ["files: True", "default: True"],
    "tokens": [
        "Bearer abc False",
        "['access_token', 'expires_in', 'issued_at', 'refresh_token', 'scope', 'token_type']",
        "expired: True",
    ],
}


@pytest.mark.parametrize("name", WITH_A_SERVER)
def test_a_program_with_a_server(name: str, testbed: Testbed) -> None:
    assert run(name, testbed.url) == WITH_A_SERVER[name]


@pytest.mark.parametrize("name", WITHOUT_A_SERVER)
def test_a_program_without_a_server(name: str) -> None:
    assert run(name) == WITHOUT_A_SERVER[name]


def test_the_steps_of_a_login(testbed: Testbed) -> None:
    redirect_uri = f"http://localhost:{free_port()}/callback"
    assert run("step_by_step", testbed.url, redirect_uri) == [
        "discovered: True",
        "registered: True",
        "header: Bearer ",
        "refreshed: True",
        "revoked: True",
    ]


def test_a_refused_token(testbed: Testbed) -> None:
    program = Program("errors_of_requests", testbed.url)
    program.read_until("ready")
    testbed.revoke_access()
    assert program.finish() == ["status 401", "status 200", "status 404"]
    assert testbed.logins() == 1


def test_a_refused_refresh(testbed: Testbed) -> None:
    program = Program("refresh_fails", testbed.url)
    program.read_until("ready")
    testbed.revoke_all()
    assert program.finish() == ["refresh failed", "logged in again: True"]


def test_a_server_without_metadata() -> None:
    base = f"http://127.0.0.1:{free_port()}"
    lines = run("server_without_metadata", f"{base}/mcp", f"{base}/authorize", f"{base}/token")
    assert lines == ["no metadata", "manual: http://127.0.0.1:8080/callback"]


def test_a_user_who_declines(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = PROGRAMS.parents[1] / "browser.py"
    monkeypatch.setenv("BROWSER", f"{sys.executable} {browser} %s")
    assert run("declined", testbed.url) == ["declined: True"]


def test_a_store_that_cannot_be_used(tmp_path: pathlib.Path) -> None:
    occupied = tmp_path / "file"
    occupied.write_text("not a directory")
    assert run("storage_fails", str(occupied)) == ["storage failed", "stored: True"]


def test_a_log_of_everything_has_no_secret(testbed: Testbed) -> None:
    program = Program("debug_log", testbed.url)
    output, log = program.process.communicate(timeout=60)
    assert program.process.returncode == 0, log
    assert "DEBUG:mcp_client_oauth" in log
    # The user sees the URL of the login on stderr: it has a state, which is of no use alone.
    records = [
        line for line in log.splitlines() if line.startswith(("DEBUG:", "INFO:", "WARNING:"))
    ]
    secrets = [*output.split(), *testbed.run("secrets")]
    assert len(secrets) > 3
    assert not [secret for secret in secrets for line in records if secret in line]


def test_a_configured_server(testbed: Testbed) -> None:
    redirect_uri = f"http://127.0.0.1:{free_port()}/callback"
    client_id = register(testbed, redirect_uri)
    endpoints = (f"{testbed.issuer}/authorize", f"{testbed.issuer}/token")
    lines = run("configured_server", testbed.url, *endpoints, client_id, redirect_uri)
    assert lines == ["header: Bearer ", "same token: True"]


def test_a_login_with_a_code(device_testbed: Testbed) -> None:
    program = Program("device", device_testbed.url)
    _, code, url = program.read_until("code").split()
    approve(f"{url}?user_code={code}")
    assert program.finish() == ["header: Bearer "]


def register(testbed: Testbed, redirect_uri: str) -> str:
    """Registers a client with the authorization server."""
    body = {
        "redirect_uris": [redirect_uri],
        "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
    }
    request = urllib.request.Request(
        f"{testbed.issuer}/register",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        client_id: str = json.load(response)["client_id"]
        return client_id


def test_a_vault(tmp_path: pathlib.Path) -> None:
    bao = os.environ.get("MCP_OAUTH_TEST_VAULT") or str(ROOT / ".tools" / "vault" / "bin" / "bao")
    if not pathlib.Path(bao).exists():
        pytest.skip("there is no OpenBao to test with")
    port = free_port()
    command = [bao, "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root"]
    server = subprocess.Popen(
        [*command, f"-dev-listen-address=127.0.0.1:{port}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert server.stdout
        lines = iter(server.stdout.readline, "")
        assert any("Development mode should NOT be used" in line for line in lines)
        assert run("vault", f"http://127.0.0.1:{port}", "root") == ["in the Vault: True"]
    finally:
        server.terminate()
        server.communicate()


PAGE = ROOT / "docs" / "migration.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_migration_page(number: int, testbed: Testbed) -> None:
    example = EXAMPLES[number].replace("https://mcp.example.com/mcp", testbed.url)
    ran = subprocess.run(
        [sys.executable, "-c", example],
        env={**os.environ, "PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "notes" in ran.stdout
    assert testbed.logins() == 1


def test_the_migration_page_has_examples() -> None:
    assert len(EXAMPLES) == 2
