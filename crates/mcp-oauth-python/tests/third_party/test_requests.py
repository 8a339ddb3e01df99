"""``mcp_client_oauth.requests`` with the real library."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from mcp_client_oauth import AuthorizationError, OAuthError, sync
from mcp_client_oauth.requests import OAuth
from testbed import Testbed


def log_in(testbed: Testbed, **options: Any) -> requests.Session:
    http = requests.Session()
    http.auth = OAuth(sync.Client(store="memory").login(testbed.url, **options))
    return http


def test_a_request_goes_on_after_expiry_and_after_revocation(testbed: Testbed) -> None:
    with log_in(testbed) as http:
        assert http.get(f"{testbed.url}/notes").json() == {"notes": ["buy milk"]}
        testbed.expire()
        response = http.get(f"{testbed.url}/notes")
        assert response.status_code == 200
        assert [earlier.status_code for earlier in response.history] == [401]
        testbed.revoke_access()
        assert http.get(f"{testbed.url}/notes").status_code == 200
    assert testbed.refreshes() == 2
    assert testbed.logins() == 1


def test_refused_requests_of_many_threads_cause_one_refresh(testbed: Testbed) -> None:
    auth = OAuth(sync.Client(store="memory").login(testbed.url))

    def status(_: int) -> int:
        return requests.get(f"{testbed.url}/notes", auth=auth, timeout=30).status_code

    testbed.expire()
    with ThreadPoolExecutor(16) as threads:
        assert set(threads.map(status, range(32))) == {200}
    assert testbed.refreshes() == 1


def test_a_token_that_is_bound_to_a_key_is_sent_with_a_proof(dpop_testbed: Testbed) -> None:
    with log_in(dpop_testbed) as http:
        assert http.get(f"{dpop_testbed.url}/notes").status_code == 200
        dpop_testbed.revoke_access()
        assert http.get(f"{dpop_testbed.url}/notes").status_code == 200
    assert dpop_testbed.refreshes() == 1


def test_a_file_is_sent_again_from_where_it_started(testbed: Testbed) -> None:
    file = io.BytesIO(b'# {"text": "bread"}')
    file.seek(2)
    with log_in(testbed, scope="notes:read notes:write") as http:
        testbed.expire()
        assert http.post(f"{testbed.url}/notes", data=file).json() == {"text": "bread"}
    assert testbed.refreshes() == 1


def test_the_body_of_a_generator_is_sent_once(testbed: Testbed) -> None:
    def body() -> Iterator[bytes]:
        yield b'{"text": "bread"}'

    with log_in(testbed, scope="notes:read notes:write") as http:
        testbed.expire()
        assert http.post(f"{testbed.url}/notes", data=body()).status_code == 401
        assert http.post(f"{testbed.url}/notes", data=body()).json() == {"text": "bread"}
    assert testbed.refreshes() == 1


def test_an_insufficient_scope_is_an_error_with_its_remedy(testbed: Testbed) -> None:
    with log_in(testbed) as http, pytest.raises(OAuthError, match="notes:write") as raised:
        http.post(f"{testbed.url}/notes", json={"text": "bread"})
    assert raised.value.remedy


def test_a_url_is_enough_and_a_wider_scope_is_requested(testbed: Testbed) -> None:
    auth = OAuth(testbed.url)
    assert requests.get(f"{testbed.url}/notes", auth=auth).status_code == 200
    response = requests.post(f"{testbed.url}/notes", json={"text": "bread"}, auth=auth)
    assert response.json() == {"text": "bread"}
    assert testbed.logins() == 2


def test_no_token_is_sent_to_another_url(testbed: Testbed) -> None:
    with log_in(testbed) as http, pytest.raises(AuthorizationError, match="is not part of"):
        http.get("http://127.0.0.2:9/mcp")


def test_a_redirect_to_another_origin_gets_no_token(
    testbed: Testbed, other_testbed: Testbed
) -> None:
    """A 401 of the other origin does not cost a refresh either."""
    with log_in(testbed) as http:
        testbed.run("redirect", other_testbed.url)
        assert http.get(f"{testbed.url}/notes").status_code == 401
    assert [request["has_token"] for request in other_testbed.requests()] == [False]
    assert testbed.refreshes() == 0


def test_a_redirect_outside_of_the_resource_gets_no_token(testbed: Testbed) -> None:
    with log_in(testbed) as http:
        testbed.run("redirect", f"{testbed.url.removesuffix('/mcp')}/other")
        response = http.get(f"{testbed.url}/notes")
    last = testbed.requests()[-1]
    assert (response.status_code, last["path"], last["has_token"]) == (404, "/other", False)
