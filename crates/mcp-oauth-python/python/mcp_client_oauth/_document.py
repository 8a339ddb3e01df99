"""The client metadata document that a hosted application serves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from . import _native


def client_metadata_document(
    client_id: str,
    client_name: str,
    redirect_uris: Sequence[str] = (),
    key: str | None = None,
) -> dict[str, Any]:
    """Returns the client metadata document to serve at the https URL ``client_id``, which is then the client
    ID of the application (``Client(client_metadata_url=...)``).

    Without ``redirect_uris``, it has those of a login on the machine of the user. With a private ``key``
    (PKCS#8 in PEM), the client authenticates by signatures, and the document has the public half.
    """
    text = _native.client_metadata_document(client_id, client_name, list(redirect_uris), key)
    document: dict[str, Any] = json.loads(text)
    return document
