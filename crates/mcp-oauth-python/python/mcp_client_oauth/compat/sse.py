"""Responses of MCP servers as event streams."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def parse_sse_json(lines: Iterable[str]) -> dict[str, Any]:
    """Returns the JSON-RPC response in the lines of an event stream.

    A stream may have other messages before it, such as progress notifications: the first event with a
    `result` or an `error` is returned, or the last event if none has one.

    Raises `ValueError` if there is no event with data, or the data is not JSON.
    """
    last: dict[str, Any] | None = None
    for data in _events(lines):
        last = json.loads(data)
        if isinstance(last, dict) and ("result" in last or "error" in last):
            return last
    if last is None:
        raise ValueError("the event stream has no data")
    return last


def parse_sse_response(text: str) -> dict[str, Any]:
    """Returns the JSON-RPC response in the text of an event stream."""
    return parse_sse_json(text.splitlines())


def _events(lines: Iterable[str]) -> Iterator[str]:
    """Returns the data of each event (HTML, Server-sent events, 9.2.6)."""
    data: list[str] = []
    for line in (*lines, ""):
        name, _, value = line.rstrip("\r\n").partition(":")
        if name == "data":
            # One space after the colon is not part of the value.
            data.append(value[1:] if value.startswith(" ") else value)
        elif not line.strip() and data:
            text, data = "\n".join(data), []
            if text:
                yield text
