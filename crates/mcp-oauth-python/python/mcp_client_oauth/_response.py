"""The response to a request, and the outcome of a logout."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


class Headers(Mapping[str, str]):
    """The headers of a response. Names are compared without regard to case; several values of one name are
    joined by a comma (RFC 9110 section 5.3)."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def __getitem__(self, name: str) -> str:
        values = self.get_list(name)
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def __repr__(self) -> str:
        return f"Headers({list(self)})"

    def get_list(self, name: str) -> list[str]:
        """Returns each value of a name."""
        return [value for known, value in self._pairs if known == name.lower()]


class HTTPStatusError(Exception):
    """A response with a status of 400 or more, raised by :meth:`Response.raise_for_status`."""

    def __init__(self, message: str, response: Response) -> None:
        super().__init__(message, response)
        self.response = response

    def __str__(self) -> str:
        return str(self.args[0])


class Response:
    """A response, read to its end."""

    status_code: int
    """The HTTP status."""
    headers: Headers
    """The headers."""
    content: bytes
    """The body."""

    def __init__(
        self, status_code: int, headers: Iterable[tuple[str, str]], content: bytes
    ) -> None:
        self.status_code = status_code
        self.headers = Headers(headers)
        self.content = content

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}]>"

    def __reduce__(self) -> tuple[type[Response], tuple[int, list[tuple[str, str]], bytes]]:
        return Response, (self.status_code, self.headers._pairs, self.content)

    @property
    def is_success(self) -> bool:
        """Says whether the status is 2xx."""
        return 200 <= self.status_code < 300

    @property
    def text(self) -> str:
        """The body as text, in the ``charset`` of its content type, or UTF-8."""
        parameters = self.headers.get("content-type", "").split(";")[1:]
        charsets = [
            p.split("=", 1)[1] for p in parameters if p.strip().lower().startswith("charset=")
        ]
        try:
            return self.content.decode(charsets[0].strip(' "') if charsets else "utf-8", "replace")
        except LookupError:
            return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """Parses the body as JSON."""
        return json.loads(self.content)

    def raise_for_status(self) -> Response:
        """Raises :class:`HTTPStatusError` if the status is 400 or more; else returns the response."""
        if self.status_code >= 400:
            raise HTTPStatusError(f"the server responded with HTTP {self.status_code}", self)
        return self


@dataclass(frozen=True)
class Logout:
    """The outcome of a logout. The local tokens are removed in any case."""

    removed: bool
    """Says whether there were stored tokens."""
    remote: Literal[
        "revoked", "access_token_not_revoked", "nothing_to_revoke", "not_supported", "failed"
    ]
    """The outcome of the revocation at the server. With ``"not_supported"`` the tokens stay valid until they
    expire, and with ``"access_token_not_revoked"`` the access token does."""
    error: str | None
    """Why the revocation failed, if it did."""


@dataclass(frozen=True)
class Login:
    """A stored login: the server, and the account there."""

    url: str
    account: str | None


@dataclass(frozen=True)
class BegunLogin:
    """A login that was begun, and that another request finishes."""

    url: str
    """The URL to send the browser to."""
    browser_secret: str
    """The secret that binds the login to this browser: for a cookie with ``HttpOnly``, ``Secure`` and
    ``SameSite=Lax``, and for nothing else."""

    def __repr__(self) -> str:
        # Both contain secrets of the login.
        return "<BegunLogin>"
