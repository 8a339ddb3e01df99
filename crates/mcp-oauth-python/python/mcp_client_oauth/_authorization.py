"""The authorization of one request that an HTTP library sends."""

from __future__ import annotations

from collections.abc import Iterable

from . import sync
from ._client import Session
from ._native import Authorization as Native
from ._native import Operation

#: The headers of a response that decide on a retry (RFC 9110 §11.6.1, RFC 9449 §8.2).
_NAMES = {"www-authenticate", "dpop-nonce"}



class Authorization:
    """Decides on the headers of one request, and on its retries.

    Send the request with the headers of :meth:`begin`, pass the status and the headers of the response to
    :meth:`respond`, and send it again as long as that returns headers. In a program without asyncio, the
    methods with ``_blocking`` do the same.
    """

    def __init__(self, session: Session | sync.Session, method: str, url: str) -> None:
        self._native = Native(session._native, method, url)

    async def begin(self) -> dict[str, str]:
        """Returns the headers of the request: ``Authorization``, and ``DPoP`` if the token is bound to a key."""
        step = self._native.begin()
        return dict((await step if isinstance(step, Operation) else step) or ())

    async def respond(
        self, status: int, headers: Iterable[tuple[str, str]], *, can_retry: bool = True
    ) -> dict[str, str] | None:
        """Returns the headers to send the request with again, or none.

        A token that the server has refused is replaced, also if the request cannot be sent again.
        """
        step = self._native.respond(status, _relevant(headers), can_retry)
        again = await step if isinstance(step, Operation) else step
        return None if again is None else dict(again)

    def begin_blocking(self) -> dict[str, str]:
        """Does the same as :meth:`begin`."""
        step = self._native.begin()
        return dict((step.wait() if isinstance(step, Operation) else step) or ())

    def respond_blocking(
        self, status: int, headers: Iterable[tuple[str, str]], *, can_retry: bool = True
    ) -> dict[str, str] | None:
        """Does the same as :meth:`respond`."""
        step = self._native.respond(status, _relevant(headers), can_retry)
        again = step.wait() if isinstance(step, Operation) else step
        return None if again is None else dict(again)


def _relevant(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() in _NAMES]
