"""The grants that need more than a name."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

GrantName = Literal["browser", "device_code", "prefer_device_code", "client_credentials"]
"""A grant without options:

- ``"browser"``: the user logs in in the browser of this machine.
- ``"device_code"``: the user enters a code in a browser on any device.
- ``"prefer_device_code"``: the same if the server offers it, else the browser.
- ``"client_credentials"``: the client authenticates by its own secret or key; no user.
"""


@dataclass(frozen=True)
class WorkloadIdentity:
    """Logs in non-interactively with the JWT that the platform issues to a workload (RFC 7523)."""

    assertion: str | os.PathLike[str]
    """The source of the JWT: the path of a file, ``"env:NAME"``, or ``"cmd:PROGRAM ARGUMENT"``. It is read
    again for each token request."""


@dataclass(frozen=True)
class EnterpriseManaged:
    """Logs in non-interactively: the identity provider of an organization asserts the user (SEP-990).

    Set either ``id_token`` or ``refresh_token``: where the token of the user is read from, as
    :attr:`WorkloadIdentity.assertion`.
    """

    issuer: str
    """The issuer of the identity provider."""
    token_endpoint: str
    """Its token endpoint."""
    client_id: str
    """The client that is registered there."""
    client_secret: str | None = field(default=None, repr=False)
    """The secret of that client."""
    private_key: str | None = field(default=None, repr=False)
    """The key by which that client authenticates instead, as PKCS#8 in PEM."""
    id_token: str | os.PathLike[str] | None = None
    """The source of an ID token of the user."""
    refresh_token: str | os.PathLike[str] | None = None
    """The source of a refresh token that the identity provider issued for the user."""


Grant = GrantName | WorkloadIdentity | EnterpriseManaged
"""The grant of a login."""
