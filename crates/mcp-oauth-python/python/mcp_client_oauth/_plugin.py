"""The parts that the plug-ins of the HTTP libraries share."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from mcp_client_oauth import Client

if TYPE_CHECKING:
    from mcp_client_oauth import Session, sync

    AnySession: TypeAlias = Session | sync.Session


class Plugin:
    """Holds the session of an ``OAuth`` object."""

    def __init__(self, session: AnySession | str) -> None:
        """Uses a session, or the URL of a server.

        With a URL the login is the one of ``Client().on_demand(url)``: a stored login is reused, and
        otherwise the user logs in at the first request.
        """
        if isinstance(session, str):
            session = Client().on_demand(session)
        self._session = session

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._session!r})"
