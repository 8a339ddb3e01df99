"""How the user sees a URL or a code, if the application has no function for that."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import datetime, timezone


@dataclass(frozen=True)
class DeviceCode:
    """A code that the user enters on another device (RFC 8628)."""

    user_code: str
    """The code."""
    verification_uri: str
    """The URL where the user enters the code. Show its host clearly."""
    verification_uri_complete: str | None
    """The same URL with the code in it, for a link or a QR code."""
    expires_at: datetime
    """The time when the code expires and the login fails."""
    is_third_party_host: bool
    """Says whether the host of the URL differs from that of the authorization server: warn the user."""


def device_code(
    user_code: str,
    verification_uri: str,
    verification_uri_complete: str | None,
    expires_at: float,
    is_third_party_host: bool,
) -> DeviceCode:
    """Builds the code from the values of the native module."""
    expiry = datetime.fromtimestamp(expires_at, timezone.utc)
    return DeviceCode(
        user_code, verification_uri, verification_uri_complete, expiry, is_third_party_host
    )


def show_url(url: str) -> None:
    """Writes the URL to stderr: the browser may open on another screen."""
    _write(f"Opening your browser. If it does not open, visit:\n\n  {url}\n")


def show_code(code: DeviceCode) -> None:
    """Writes the code to stderr."""
    if code.is_third_party_host:
        _write("This is not the host of the authorization server; make sure that you trust it.")
    _write(f"Visit {code.verification_uri} and enter the code {code.user_code}")


def _write(text: str) -> None:
    # A program without stderr (pythonw.exe) still logs in by the browser.
    if sys.stderr is not None:
        print(text, file=sys.stderr, flush=True)
