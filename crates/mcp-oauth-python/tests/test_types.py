"""The types of the package: the stub of the native module is what the module has."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

import mcp_client_oauth

PACKAGE = pathlib.Path(mcp_client_oauth.__file__).parent
PROJECT = pathlib.Path(__file__).resolve().parents[1]


def run(*arguments: str) -> None:
    """Runs a module of Python, and fails with its output."""
    ended = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_stub_is_what_the_module_has() -> None:
    pytest.importorskip("mypy")
    run("mypy.stubtest", "mcp_client_oauth._native", "--ignore-disjoint-bases")


def test_every_public_name_is_documented() -> None:
    for name in mcp_client_oauth.__all__:
        item = getattr(mcp_client_oauth, name)
        assert item.__doc__, name
        for member, value in vars(item).items() if isinstance(item, type) else ():
            if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                assert value.__doc__, f"{name}.{member}"


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
