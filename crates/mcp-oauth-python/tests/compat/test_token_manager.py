"""`TokenManager`, the stores and the data classes."""

from __future__ import annotations

import asyncio
import pathlib
import stat
import time

import pytest

from mcp_client_oauth.compat import (
    APIKeyToken,
    BearerToken,
    DynamicClientRegistration,
    OAuthHandler,
    OAuthTokens,
    StoredToken,
    TokenManager,
    TokenStorageError,
    TokenStoreBackend,
    TokenStoreFactory,
    TokenType,
    parse_sse_json,
    parse_sse_response,
)
from testbed import Testbed


def tokens(access_token: str = "an-access-token") -> OAuthTokens:
    return OAuthTokens(
        access_token=access_token, expires_in=3600, refresh_token="a-refresh-token", scope="a b"
    )


def manager(**options: object) -> TokenManager:
    return TokenManager(backend=TokenStoreBackend.ENCRYPTED_FILE, **options)  # type: ignore[arg-type]


def test_tokens_are_stored_by_name() -> None:
    first = manager()
    for name in ("my.server", "my_server", "x:y é#z", "../up"):
        first.save_tokens(name, tokens(f"token-of-{len(name)}-{ord(name[2])}"))
    again = manager()
    assert again.registry.has_token("my.server", "oauth")
    assert [entry["name"] for entry in again.registry.list_tokens("oauth")] == sorted(
        ["my.server", "my_server", "x:y é#z", "../up"]
    )
    found = again.load_tokens("my.server")
    assert found is not None
    assert (found.access_token, found.refresh_token) == ("token-of-9-46", "a-refresh-token")
    assert abs((found.issued_at or 0) - time.time()) < 60
    assert again.token_store.clear_all() == 4
    assert first.load_tokens("../up") is None


def test_saved_tokens_become_a_login(testbed: Testbed) -> None:
    """A program that logs in by itself, saves the tokens, and then uses the handler."""
    handler = OAuthHandler(manager())
    login = asyncio.run(OAuthHandler(manager()).ensure_authenticated_mcp("one", testbed.url))
    registration = handler.token_manager.load_client_registration("one")
    assert registration is not None
    handler.token_manager.save_tokens("two", login)
    handler.token_manager.save_client_registration("two", registration)
    found = asyncio.run(handler.ensure_authenticated_mcp("two", testbed.url))
    assert found.access_token == login.access_token
    assert testbed.logins() == 1
    # It has become a login: there is no second copy that would go out of date.
    assert handler.token_manager.delete_tokens("two")
    assert not handler.token_manager.delete_tokens("two")
    assert not handler.token_manager.delete_client_registration("two")


def test_tokens_of_a_login_can_be_replaced(testbed: Testbed) -> None:
    handler = OAuthHandler(manager())
    asyncio.run(handler.ensure_authenticated_mcp("notes", testbed.url))
    handler.token_manager.save_tokens("notes", tokens("replaced"))
    found = asyncio.run(OAuthHandler(manager()).ensure_authenticated_mcp("notes", testbed.url))
    assert found.access_token == "replaced"


def test_client_registrations_are_encrypted(tmp_path: pathlib.Path) -> None:
    store = manager(token_dir=tmp_path / "tokens", password="pw")
    client = DynamicClientRegistration(client_id="the-client", client_secret="the-secret")
    store.save_client_registration("notes", client)
    assert store.load_client_registration("notes") == client
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"the-secret" in path.read_bytes()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert store.delete_client_registration("notes")
    assert store.load_client_registration("notes") is None


def test_a_wrong_password_is_an_error_at_once(tmp_path: pathlib.Path) -> None:
    manager(token_dir=tmp_path, password="right").save_tokens("notes", tokens())
    with pytest.raises(TokenStorageError, match="wrong password"):
        manager(token_dir=tmp_path, password="wrong").save_tokens("other", tokens())
    with pytest.raises(TokenStorageError, match="wrong password"):
        manager(token_dir=tmp_path, password="wrong").load_tokens("notes")


def test_another_store_is_never_used_instead() -> None:
    # There is no keychain here.
    keychain = TokenManager(backend=TokenStoreBackend.SECRET_SERVICE)
    with pytest.raises(TokenStorageError, match="keychain"):
        keychain.save_tokens("notes", tokens())
    with pytest.raises(TokenStorageError, match="VAULT_ADDR"):
        TokenManager(backend=TokenStoreBackend.VAULT)
    vault = TokenManager(
        backend=TokenStoreBackend.VAULT, vault_url="http://127.0.0.1:9", vault_token="t"
    )
    with pytest.raises(TokenStorageError, match=r"127\.0\.0\.1:9"):
        vault.save_tokens("notes", tokens())
    with pytest.raises(TypeError, match="vault_uri"):
        TokenManager(vault_uri="x")


def test_a_keychain_that_does_not_respond_is_not_listed() -> None:
    assert TokenStoreFactory.get_available_backends() == [TokenStoreBackend.ENCRYPTED_FILE]


def test_the_store_holds_logins_only() -> None:
    with pytest.raises(NotImplementedError, match="logins only"):
        manager().token_store.store_generic("openai", "a-key")


def test_no_secret_is_shown() -> None:
    shown = [
        tokens(),
        DynamicClientRegistration(client_id="c", client_secret="a-secret"),
        BearerToken(token="a-secret"),
        APIKeyToken(provider="p", key="a-secret").to_stored_token("n"),
        APIKeyToken(provider="p", key="a-secret").to_stored_token("n").get_display_info(),
        manager(password="a-secret"),
        manager(password="a-secret").token_store,
        vars(manager(password="a-secret")),
    ]
    for value in shown:
        for secret in ("an-access-token", "a-refresh-token", "a-secret"):
            assert secret not in repr(value), value


def test_tokens_expire() -> None:
    now = time.time()
    assert not OAuthTokens(access_token="a").is_expired()
    assert OAuthTokens(access_token="a", expires_in=3600, issued_at=now - 3400).is_expired()
    # A short lifetime is not expired from the beginning.
    short = OAuthTokens(access_token="a", expires_in=60)
    assert not short.is_expired()
    assert short.expires_at is not None
    assert abs(short.expires_at - now - 60) < 5
    assert OAuthTokens.model_validate_json(short.model_dump_json()) == short
    assert OAuthTokens.model_validate({**short.to_dict(), "id_token": "x"}) == short
    with pytest.raises(ValueError, match="access_token"):
        OAuthTokens.model_validate({"token_type": "Bearer"})


def test_other_tokens_are_data() -> None:
    stored = BearerToken(token="t", expires_at=1.0).to_stored_token("name")
    assert BearerToken.from_stored_token(
        StoredToken.model_validate(stored.model_dump())
    ).is_expired()
    assert stored.token_type is TokenType.BEARER
    with pytest.raises(ValueError, match="bearer"):
        APIKeyToken.from_stored_token(stored)


@pytest.mark.parametrize(
    "text",
    [
        'event: message\ndata: {"id": 1, "result": {}}\n\n',
        'data:{"id": 1,\ndata: "result": {}}',
        ': comment\r\ndata: {"method": "notifications/progress"}\r\n\r\ndata: {"id": 1, "result": {}}\r\n',
        'data: {"id": 1, "result": {}}\n\ndata: {"id": 2, "result": 2}\n\n',
    ],
)
def test_the_response_in_an_event_stream(text: str) -> None:
    assert parse_sse_response(text) == {"id": 1, "result": {}}
    assert parse_sse_json(text.strip().splitlines()) == {"id": 1, "result": {}}


def test_an_event_stream_without_data() -> None:
    with pytest.raises(ValueError, match="no data"):
        parse_sse_json(["event: message", ""])
