"""Both generations of httpx, each with its plug-in."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any, NamedTuple

from mcp_client_oauth import Session


class Httpx(NamedTuple):
    """A generation of httpx, and the plug-in for it."""

    library: ModuleType
    OAuth: Callable[[Any], Any]

    def client(self, session: Session | str, **options: Any) -> Any:
        """Returns an asynchronous client with the tokens of a session."""
        return self.library.AsyncClient(auth=self.OAuth(session), **options)


#: The version of the installed MCP SDK. Version 1 is made with httpx, and version 2 with httpx2.
SDK_VERSION = int(version("mcp").partition(".")[0])


def load(name: str) -> Httpx:
    plugin = importlib.import_module(f"mcp_client_oauth.{name}")
    return Httpx(importlib.import_module(name), plugin.OAuth)
