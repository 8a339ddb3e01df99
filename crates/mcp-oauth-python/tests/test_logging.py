"""Log records, and that neither they nor any `repr` contain a secret."""

from __future__ import annotations

import logging

import pytest

from mcp_client_oauth.sync import Client
from testbed import Testbed


def everything(caplog: pytest.LogCaptureFixture) -> str:
    """Returns all records, with every attribute."""
    return "\n".join(repr(vars(record)) for record in caplog.records)


def test_no_record_and_no_repr_contains_a_secret(
    testbed: Testbed, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(1)
    client = Client(on_authorization_url=None)
    session = client.login(testbed.url, account="me")
    response = session.get("notes")
    testbed.revoke_access()
    session.get("notes")
    authorization = session.authorize("GET", testbed.url)
    header = authorization.headers_blocking()["authorization"]
    begun = client.begin(testbed.url, redirect_uri="https://app.example/callback")
    objects = [client, session, response, response.headers, authorization, begun]
    texts = everything(caplog) + "".join(map(repr, objects))
    session.logout()

    secrets = [secret for secret in testbed.run("secrets") if secret]
    assert header.removeprefix("Bearer ") in secrets
    assert len(secrets) > 5
    for secret in secrets:
        assert secret not in texts
    assert begun.browser_secret not in texts
    # The URL is for the user alone: it contains the `state`.
    assert "state=" in capsys.readouterr().err


def test_records_have_the_loggers_of_the_package(
    testbed: Testbed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "mcp_client_oauth")
    session = Client().login(testbed.url)
    testbed.revoke_all()
    with pytest.raises(Exception, match="invalid_grant"):
        session.get("notes")
    names = {record.name for record in caplog.records if record.name.startswith("mcp_client_oauth")}
    assert names
    assert all(name == "mcp_client_oauth" or name.count(".") == 1 for name in names)


def test_nothing_is_logged_below_the_level(
    testbed: Testbed, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("mcp_client_oauth").setLevel(logging.CRITICAL)
    try:
        Client().login(testbed.url)
        assert not [r for r in caplog.records if r.name.startswith("mcp_client_oauth")]
    finally:
        logging.getLogger("mcp_client_oauth").setLevel(logging.NOTSET)
