"""The stored logins of `chuk-mcp-client-oauth`, as that library itself writes them."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import pathlib
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from mcp_client_oauth.compat import (
    DynamicClientRegistration,
    MCPOAuthClient,
    OAuthHandler,
    OAuthTokens,
    OldLogin,
    TokenManager,
    TokenStorageError,
    TokenStoreBackend,
    old_logins,
)
from mcp_client_oauth.compat.old_logins import OldStore, _tokens
from testbed import Testbed

old = pytest.importorskip("chuk_mcp_client_oauth")

PASSWORD = "pw1"


def old_manager(directory: pathlib.Path | None = None, password: str = PASSWORD) -> Any:
    """Returns the token manager of the old library, with encrypted files."""
    return old.TokenManager(
        token_dir=directory, backend=old.TokenStoreBackend.ENCRYPTED_FILE, password=password
    )


def save(name: str, access_token: str = "an-access-token", **members: Any) -> pathlib.Path:
    """Lets the old library save tokens under a name. Returns their file."""
    manager = old_manager()
    manager.save_tokens(
        name, old.OAuthTokens(access_token=access_token, expires_in=3600, **members)
    )
    path: pathlib.Path = manager.token_store._get_token_path(name)
    return path


def log_in(testbed: Testbed) -> tuple[OAuthTokens, DynamicClientRegistration]:
    """Logs in, and stores nothing."""

    async def steps() -> tuple[OAuthTokens, DynamicClientRegistration]:
        client = MCPOAuthClient(testbed.url)
        registration = await client.register_client()
        return await client.authorize(["notes:read"]), registration

    return asyncio.run(steps())


def save_login(testbed: Testbed, name: str) -> OAuthTokens:
    """Lets the old library store a real login."""
    tokens, registration = log_in(testbed)
    manager = old_manager()
    members = tokens.model_dump()
    manager.save_tokens(name, old.OAuthTokens(**members))
    manager.save_client_registration(
        name, old.mcp_oauth.DynamicClientRegistration(**registration.model_dump())
    )
    return tokens


def manager(move: bool | Callable[[OldLogin], bool] | None = None) -> TokenManager:
    return TokenManager(
        backend=TokenStoreBackend.ENCRYPTED_FILE, password=PASSWORD, move_old_logins=move
    )


def files(directory: pathlib.Path) -> dict[str, bytes]:
    """Returns the files of the old library."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def test_every_login_is_read() -> None:
    save("notion-mcp", refresh_token="a-refresh-token", scope="read write")
    save("my.server/x:y é")
    first, second = old_logins(password=PASSWORD)
    assert (first.name, second.name) == ("my.server/x:y é", "notion-mcp")
    assert first.error is None
    assert second.error is None
    assert second.tokens is not None
    assert second.tokens.refresh_token == "a-refresh-token"
    assert second.tokens.scope == "read write"
    assert not second.tokens.is_expired()
    assert "token" not in repr(first).replace("tokens/", "").replace("tokens", "")


def test_a_bad_login_does_not_hide_the_others() -> None:
    bad = save("bad")
    bad.write_bytes(bad.read_bytes()[:-10] + b"AAAAAAAAAA")
    save("good")
    unrelated = bad.parent / "unrelated.enc"
    unrelated.write_text("not a token")
    logins = {login.name: login for login in old_logins(password=PASSWORD)}
    assert sorted(logins) == ["bad", "good", "unrelated"]
    assert logins["good"].tokens is not None
    assert str(bad) in str(logins["bad"].error)
    assert "not a file of chuk-mcp-client-oauth" in str(logins["unrelated"].error)


def test_a_wrong_password_is_an_error_with_the_file() -> None:
    path = save("notes")
    (login,) = old_logins(password="other")
    assert str(login.error) == f"cannot read {path}: the password is wrong, or the file is corrupt"
    assert login.error is not None
    assert login.error.remedy == "reconfigure"
    (login,) = old_logins()
    assert "MCP_CLI_ENCRYPTION_KEY" in str(login.error)


def test_names_that_share_a_file_are_not_guessed() -> None:
    save("my.server", "one")
    save("my_server", "two")
    assert all("in the same file" in str(login.error) for login in old_logins(password=PASSWORD))


def test_nothing_is_moved_unless_the_program_says_so(
    testbed: Testbed, caplog: pytest.LogCaptureFixture
) -> None:
    save_login(testbed, "notes")
    with caplog.at_level(logging.WARNING):
        asyncio.run(OAuthHandler(manager()).ensure_authenticated_mcp("notes", testbed.url))
    assert testbed.logins() == 2
    assert "move_old_logins=True" in caplog.text
    caplog.clear()
    asyncio.run(OAuthHandler(manager(move=False)).ensure_authenticated_mcp("other", testbed.url))
    assert not caplog.records


def test_a_login_is_moved_once_and_refreshed(testbed: Testbed, home: pathlib.Path) -> None:
    tokens = save_login(testbed, "notes")
    directory = home / ".chuk_oauth" / "tokens"
    before = files(directory)
    offered: list[OldLogin] = []

    def agree(login: OldLogin) -> bool:
        offered.append(login)
        return True

    handler = OAuthHandler(manager(agree))
    found = asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url, ["notes:read"]))
    assert found.access_token == tokens.access_token
    assert testbed.logins() == 1
    assert [(login.name, login.server_url) for login in offered] == [("notes", testbed.url)]

    testbed.revoke_access()
    response = asyncio.run(
        handler.authenticated_request("notes", testbed.url, f"{testbed.url}/notes")
    )
    assert response.status_code == 200
    assert (testbed.logins(), testbed.refreshes()) == (1, 1)

    # After a logout it does not come back.
    handler.clear_tokens("notes")
    asyncio.run(OAuthHandler(manager(agree)).ensure_authenticated_mcp("notes", testbed.url))
    assert (testbed.logins(), len(offered)) == (2, 1)
    assert files(directory) == before


def test_a_program_that_declines_is_called_once(testbed: Testbed) -> None:
    save_login(testbed, "notes")
    offered: list[OldLogin] = []

    def decline(login: OldLogin) -> bool:
        offered.append(login)
        return False

    handler = OAuthHandler(manager(decline))
    asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url))
    handler.clear_tokens("notes")
    asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url))
    assert (testbed.logins(), len(offered)) == (3, 1)


def test_a_moved_login_that_the_server_has_revoked_leads_to_a_login(testbed: Testbed) -> None:
    save_login(testbed, "notes")
    testbed.revoke_all()
    testbed.expire()
    handler = OAuthHandler(manager(move=True))
    path = save("expired", "old", refresh_token="refused")
    asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url, ["notes:read"]))
    response = asyncio.run(
        handler.authenticated_request("notes", testbed.url, f"{testbed.url}/notes")
    )
    assert response.status_code == 200
    assert path.exists()


def test_a_forged_file_is_an_error() -> None:
    """No change of a file leads to other tokens, or to another error than `TokenStorageError`."""
    path = save("notes", "an-access-token")
    genuine = path.read_bytes()
    # It derives its key once.
    store = OldStore(path.parent, PASSWORD)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        login = store.read("notes")
        assert login is not None
        if login.error is None:
            assert login.tokens is not None
            assert login.tokens.access_token == "an-access-token"

    chance = random.Random(20261201)
    for _ in range(1000):
        forged = bytearray(genuine)
        for _ in range(chance.randint(1, 4)):
            forged[chance.randrange(len(forged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del forged[chance.randrange(len(forged)) :]
        check(bytes(forged))
    for _ in range(300):
        check(chance.randbytes(chance.randrange(300)))
        check(base64.urlsafe_b64encode(b"\x80" + chance.randbytes(chance.randrange(200))))


def test_any_content_is_tokens_or_an_error() -> None:
    chance = random.Random(20261201)
    genuine = {
        "access_token": "a",
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": "r",
        "scope": "s",
        "issued_at": 1.5,
    }
    odd: list[Any] = [None, 0, -1, 1e400, 2**70, "", "x", "NaN", [], {}, True, "1" * 5000, "\ud800"]
    texts = ["", "null", "[]", "{", "[" * 100_000, '{"access_token": 1}', "\x00"]
    for _ in range(2000):
        changed: dict[str, Any] = dict(genuine)
        for _ in range(chance.randint(1, 3)):
            changed[chance.choice(list(genuine))] = chance.choice(odd)
        texts.append(json.dumps(changed))
    for text in texts:
        try:
            tokens = _tokens(text)
        except TokenStorageError:
            continue
        assert isinstance(tokens.access_token, str)
        assert isinstance(tokens.is_expired(), bool)


IN_KEYCHAIN = """
import asyncio, sys
import chuk_mcp_client_oauth as old
from mcp_client_oauth.compat import *
name, url, access, refresh, client_id = sys.argv[1:]
manager = old.TokenManager(backend=old.TokenStoreBackend.SECRET_SERVICE)
assert type(manager.token_store).__name__ == "SecretServiceTokenStore", manager.token_store
manager.save_tokens(name, old.OAuthTokens(access_token=access, refresh_token=refresh, expires_in=3600))
manager.save_client_registration(name, old.DynamicClientRegistration(client_id=client_id))
(login,) = old_logins()
assert login.error is None and "keychain" in login.location, login
keychain = TokenManager(backend=TokenStoreBackend.SECRET_SERVICE, move_old_logins=True)
found = asyncio.run(OAuthHandler(keychain).ensure_authenticated_mcp(name, url))
assert found.access_token == access
assert is_secure_backend_available()
assert TokenStoreFactory._detect_backend() is TokenStoreBackend.SECRET_SERVICE
"""


needs_keychain = pytest.mark.skipif(
    os.environ.get("MCP_OAUTH_TEST_KEYCHAIN") == "skip"
    or not (shutil.which("gnome-keyring-daemon") and shutil.which("dbus-run-session")),
    reason="there is no gnome-keyring-daemon with dbus-run-session on PATH",
)


@needs_keychain
def test_a_login_in_the_keychain_is_moved(testbed: Testbed, home: pathlib.Path) -> None:
    tokens, registration = log_in(testbed)
    arguments = (
        "my.notes",
        testbed.url,
        tokens.access_token,
        tokens.refresh_token,
        registration.client_id,
    )
    run_with_keychain(home, "-c", IN_KEYCHAIN, *map(str, arguments))
    assert testbed.logins() == 1


@needs_keychain
def test_the_program_with_a_keychain(testbed: Testbed, home: pathlib.Path) -> None:
    program = pathlib.Path(__file__).parent / "programs" / "keychain.py"
    output = run_with_keychain(home, str(program), testbed.url)
    assert output.splitlines() == ["logged in: True", "stored for my-app: True"]


def run_with_keychain(home: pathlib.Path, *arguments: str) -> str:
    """Runs Python in a D-Bus session with an unlocked GNOME Keyring."""
    start = (
        "printf test-password | gnome-keyring-daemon --unlock --components=secrets >/dev/null"
        ' && exec "$0" "$@"'
    )
    environment = dict(os.environ)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "DBUS_SESSION_BUS_ADDRESS"):
        environment.pop(name, None)
    runtime = home / "run"
    runtime.mkdir(mode=0o700)
    environment["XDG_RUNTIME_DIR"] = str(runtime)
    environment["PYTHONPATH"] = str(pathlib.Path(__file__).parents[2] / "python")
    command = ["dbus-run-session", "--", "bash", "-c", start, sys.executable, *arguments]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
