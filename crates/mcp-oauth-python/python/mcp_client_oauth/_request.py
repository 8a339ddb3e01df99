"""The arguments of a client, of a login and of a request, as the native module takes them."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from ._grants import Grant
from ._native import Client, Login, Operation, Session

HeaderTypes = Mapping[str, str] | Iterable[tuple[str, str]]
"""Headers: a mapping, or pairs of name and value."""
QueryTypes = Mapping[str, Any] | Sequence[tuple[str, Any]]
"""Parameters of a query or of a form: a mapping, or pairs of name and value."""


def login(
    client: Client,
    url: str,
    account: str | None,
    scope: str | Sequence[str] | None,
    grant: Grant,
    options: Mapping[str, Any],
    return_to: str | None = None,
) -> Login:
    """Builds a login of the native module."""
    arguments: dict[str, Any] = dict(options)
    for name in ("server_metadata", "quirks"):
        if arguments.get(name) is not None:
            arguments[name] = jsonlib.dumps(dict(arguments[name]))
    return Login(
        client,
        url,
        account=account,
        scope=scope if scope is None or isinstance(scope, str) else list(scope),
        grant=grant,
        return_to=return_to,
        **arguments,
    )


def header_list(headers: HeaderTypes) -> list[tuple[str, str]]:
    """Returns headers as pairs."""
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def request(
    session: Session,
    method: str,
    path: str,
    *,
    params: QueryTypes | None,
    headers: HeaderTypes | None,
    content: bytes | str | None,
    data: QueryTypes | None,
    json: Any,
    timeout: float | None,
    retry_on_401: bool,
) -> Operation[tuple[int, list[tuple[str, str]], bytes]]:
    """Builds a request of the native module."""
    given = header_list(headers or ())
    names = {name.lower() for name, _ in given}
    body = content.encode() if isinstance(content, str) else content
    content_type = None
    if sum(part is not None for part in (content, data, json)) > 1:
        raise TypeError("only one of content, data and json can be given")
    if data is not None:
        body = urlencode(data, doseq=True).encode()
        content_type = "application/x-www-form-urlencoded"
    elif json is not None:
        body = jsonlib.dumps(json, separators=(",", ":"), ensure_ascii=False).encode()
        content_type = "application/json"
    if content_type is not None and "content-type" not in names:
        given.append(("content-type", content_type))
    if params:
        parts = urlsplit(path)
        query = "&".join(part for part in (parts.query, urlencode(params, doseq=True)) if part)
        path = urlunsplit(parts._replace(query=query))
    return session.request(
        method, path, headers=given, body=body, timeout=timeout, retry_on_401=retry_on_401
    )
