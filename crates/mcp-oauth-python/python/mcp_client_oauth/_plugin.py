"""The part that the plug-ins of the HTTP libraries share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._client import Client

if TYPE_CHECKING:
    from . import sync
    from ._client import Session


class Plugin:
    """Holds the session of an ``OAuth`` object."""

    def __init__(self, session: Session | sync.Session | str) -> None:
        """Uses a session, or the URL of a server.

        A URL stands for ``Client().on_demand(url)``: a stored login is reused, and otherwise the user logs in
        at the first request.
        """
        self._session = Client().on_demand(session) if isinstance(session, str) else session

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._session!r})"
