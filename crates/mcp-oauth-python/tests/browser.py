"""The user at a browser, by the harness of the tests of applications. As a program: a user who declines."""

from __future__ import annotations

import importlib
import sys
import urllib.error
import urllib.parse
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "apps" / "harness"))

user: Any = importlib.import_module("user")


def approve(url: str) -> None:
    """Opens a URL, and approves."""
    user.approve(url)


def approve_until(url: str, redirect_uri: str) -> str:
    """Opens a URL and approves, up to the redirect to the application. Returns the URL of that."""
    visited: list[str] = []
    opened = user.BROWSER.open

    def open_other(url: str, *rest: object) -> object:
        visited.append(url)
        if url.startswith(redirect_uri):
            raise ConnectionRefusedError
        return opened(url, *rest)

    user.BROWSER.open = open_other
    try:
        user.approve(url)
    except ConnectionRefusedError:
        return visited[-1]
    finally:
        del user.BROWSER.open
    raise AssertionError(f"no redirect to {redirect_uri}: {visited}")


def decline(url: str) -> None:
    """Opens a URL, and declines."""
    page = user.BROWSER.open(url, None, user.TIMEOUT).read().decode()
    action, fields = user.consent(page)
    form = urllib.parse.urlencode({**fields, "decision": "deny"}).encode()
    try:
        user.BROWSER.open(urllib.parse.urljoin(url, action), form, user.TIMEOUT)
    except urllib.error.HTTPError as redirect:
        callback = urllib.parse.urljoin(url, redirect.headers["location"])
        user.BROWSER.open(callback, None, user.TIMEOUT)


if __name__ == "__main__":
    decline(sys.argv[1])
