"""Exceptions, and arguments that are not valid."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import mcp_client_oauth
from mcp_client_oauth import EnterpriseManaged, OAuthError, Response, WorkloadIdentity, errors
from mcp_client_oauth.sync import Client
from testbed import Testbed

URL = "https://mcp.example.com/mcp"


def test_each_exception_of_a_step_is_an_oauth_error() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]
    assert len(classes) == 9
    assert all(issubclass(kind, OAuthError) for kind in classes)
    assert all(getattr(mcp_client_oauth, kind.__name__) is kind for kind in classes)


def test_an_exception_can_be_pickled(testbed: Testbed) -> None:
    session = Client(store="memory").login(testbed.url)
    testbed.revoke_all()
    with pytest.raises(errors.TokenRefreshError) as raised:
        session.get("notes")
    error = raised.value
    for restored in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(restored) is errors.TokenRefreshError
        assert str(restored) == str(error)
        assert restored.remedy == "log_in"
        assert restored.error == "invalid_grant"
        assert restored.error_description == error.error_description


def test_a_response_can_be_pickled() -> None:
    response = Response(
        404, [("X-A", "1"), ("x-a", "2"), ("Content-Type", "text/plain")], b"caf\xc3\xa9"
    )
    restored = pickle.loads(pickle.dumps(response))
    assert restored.status_code == 404
    assert restored.headers["x-A"] == "1, 2"
    assert restored.headers.get_list("X-a") == ["1", "2"]
    assert dict(restored.headers) == {"x-a": "1, 2", "content-type": "text/plain"}
    assert restored.text == "café"
    with pytest.raises(mcp_client_oauth.HTTPStatusError, match="404") as raised:
        restored.raise_for_status()
    assert raised.value.response is restored


def test_the_text_of_a_response_has_the_charset_of_its_type() -> None:
    latin = [("content-type", 'text/plain; charset="ISO-8859-1"')]
    assert Response(200, latin, b"caf\xe9").text == "café"
    unknown = [("content-type", "text/plain; charset=klingon")]
    assert Response(200, unknown, "é".encode()).text == "é"
    assert Response(200, [], b'{"a": [1]}').json() == {"a": [1]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"store": "sqlite:x"}, "unknown store `sqlite`"),
        ({"store": "keychain", "password": "p"}, "the store `keychain` has none"),
        ({"client_metadata_url": "not a URL"}, "invalid client_metadata_url"),
        (
            {"client_metadata_url": "https://a.example/c", "client_metadata_key": "not a key"},
            "invalid client_metadata_key",
        ),
    ],
)
def test_an_option_of_a_client_that_is_not_valid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "mcp.example.com"}, "mcp.example.com"),
        ({"url": "http://mcp.example.com"}, "https"),
        ({"scope": 'a "b"'}, "invalid scope"),
        ({"grant": "password"}, "unknown grant"),
        (
            {"grant": EnterpriseManaged("https://i.example", "https://i.example/token", "c")},
            "either",
        ),
        ({"redirect_uri": "not a URL"}, "invalid redirect_uri"),
        ({"timeout": -1}, "invalid timeout"),
        ({"quirks": {"resource": 7}}, "invalid quirks"),
        ({"private_key": "-----"}, "invalid private_key"),
    ],
)
def test_an_option_of_a_login_that_is_not_valid(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Client(store="memory").login(options.pop("url", URL), **options)


def test_an_unknown_option_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'scopes'"):
        Client().login(URL, scopes="a")  # type: ignore[call-arg]


def test_only_one_body_is_sent(testbed: Testbed) -> None:
    session = Client(store="memory").login(testbed.url)
    with pytest.raises(TypeError, match="only one of"):
        session.post("notes", json={}, content=b"")


def test_a_token_is_sent_to_its_own_server_only(testbed: Testbed) -> None:
    session = Client(store="memory").login(testbed.url)
    with pytest.raises(errors.AuthorizationError, match="is not part of"):
        session.get("https://elsewhere.example/")


def test_a_workload_without_its_file_is_reported(testbed: Testbed) -> None:
    with pytest.raises(errors.TokenExchangeError, match="cannot read the assertion") as raised:
        Client(store="memory").login(testbed.url, grant=WorkloadIdentity("/nonexistent/token"))
    assert raised.value.remedy == "reconfigure"


def test_a_private_address_is_refused_for_public_networks() -> None:
    client = Client(store="memory", public_networks_only=True)
    with pytest.raises(OAuthError, match=r"127\.0\.0\.1"):
        client.login("https://127.0.0.1/mcp")


def test_a_store_without_its_password_is_not_opened(testbed: Testbed) -> None:
    Client(password="p").login(testbed.url)
    assert Client(password="p").session(testbed.url)
    with pytest.raises(errors.TokenStorageError, match="password") as raised:
        Client().session(testbed.url)
    assert raised.value.remedy == "reconfigure"
    with pytest.raises(errors.TokenStorageError, match="password"):
        Client(password="q").session(testbed.url)
