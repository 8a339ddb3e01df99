"""Fixtures of the tests with programs of others."""

from __future__ import annotations

import pytest

from generations import Httpx, load


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["httpx", "httpx2"])
def httpx(request: pytest.FixtureRequest) -> Httpx:
    return load(request.param)
