"""What the calls raise."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Iterator
from typing import Any

from .. import (
    AuthorizationError,
    DiscoveryError,
    HTTPStatusError,
    NetworkError,
    OAuthError,
    RegistrationError,
    TokenExchangeError,
    TokenRefreshError,
    TokenStorageError,
)

__all__ = [
    "AuthorizationError",
    "DiscoveryError",
    "HTTPStatusError",
    "NetworkError",
    "OAuthError",
    "RegistrationError",
    "TokenExchangeError",
    "TokenRefreshError",
    "TokenStorageError",
]


def status_error(method: str, url: str, response: Any) -> HTTPStatusError:
    """Returns the error of a response with an error status.

    If the program has imported httpx, it is an `httpx.HTTPStatusError` too.
    """
    message = f"{method} {url}: the server responded with HTTP {response.status_code}"
    httpx = sys.modules.get("httpx")
    if httpx is None:
        return HTTPStatusError(message, response)
    error: HTTPStatusError = _class_of_both(httpx)(message, response)
    return error


@functools.cache
def _class_of_both(httpx: Any) -> Any:
    class Both(HTTPStatusError, httpx.HTTPStatusError):  # type: ignore[misc]
        """An error that both names catch."""

        def __init__(self, message: str, response: Any) -> None:
            # That of httpx has other arguments than that of this package.
            Exception.__init__(self, message, response)
            self.response = response
            self.request = response.request

    Both.__name__ = Both.__qualname__ = "HTTPStatusError"
    return Both


@contextlib.contextmanager
def step(kind: type[OAuthError]) -> Iterator[None]:
    """Makes a network error one of this step too: programs of the old library catch it as that."""
    try:
        yield
    except NetworkError as error:
        if isinstance(error, kind):
            raise
        raise _network_error_of(kind)(str(error), error.remedy) from error


def _network_error_of(kind: type[OAuthError]) -> type[OAuthError]:
    if kind not in _NETWORK_ERRORS:
        _NETWORK_ERRORS[kind] = type(kind.__name__, (kind, NetworkError), {"__doc__": kind.__doc__})
    return _NETWORK_ERRORS[kind]


_NETWORK_ERRORS: dict[type[OAuthError], type[OAuthError]] = {}
