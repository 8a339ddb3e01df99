"""The names of the old package, and their signatures."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from types import ModuleType
from typing import Any

import pytest

from mcp_client_oauth import compat

old: Any = pytest.importorskip("chuk_mcp_client_oauth")

#: It is the program of the old package; here it is `mcp-oauth`. Its stores are one module here.
LEFT_OUT = {"cli", "stores"}
#: The base of data classes, a part of the implementation there.
NOT_HERE = {"BaseModel"}


def modules() -> list[ModuleType]:
    names = [module.name for module in pkgutil.iter_modules(old.__path__)]
    return [
        importlib.import_module(f"chuk_mcp_client_oauth.{name}")
        for name in names
        if name not in LEFT_OUT
    ]


def own(module: ModuleType) -> dict[str, Any]:
    """Returns the classes and functions that a module defines."""
    return {
        name: item
        for name, item in vars(module).items()
        if not name.startswith("_") and getattr(item, "__module__", "") == module.__name__
    }


def test_every_name_exists() -> None:
    assert set(old.__all__) <= set(compat.__all__)
    for name in compat.__all__:
        assert getattr(compat, name).__doc__, name


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.__name__)
def test_every_submodule_has_the_same_calls(module: ModuleType) -> None:
    part = module.__name__.rsplit(".", 1)[-1]
    here = importlib.import_module(f"mcp_client_oauth.compat.{part}")
    for name, there in own(module).items():
        item = getattr(here, name)
        if inspect.isclass(there):
            check_class(there, item)
        else:
            check_call(there, item)


def test_every_kind_of_store_exists() -> None:
    there, here = old.TokenStoreBackend, compat.TokenStoreBackend
    assert {kind.name: kind.value for kind in there} == {kind.name: kind.value for kind in here}


def test_every_store_exists() -> None:
    stores = importlib.import_module("chuk_mcp_client_oauth.stores")
    here = importlib.import_module("mcp_client_oauth.compat.stores")
    for name in stores.__all__:
        check_call(getattr(stores, name).__init__, getattr(here, name).__init__)


def check_class(there: type, here: type) -> None:
    for name in getattr(there, "model_fields", {}):
        assert name in inspect.signature(here).parameters, f"{there.__name__}.{name}"
    for name, call in vars(there).items():
        public = not name.startswith("_") or name == "__init__"
        is_call = inspect.isfunction(call) or isinstance(call, staticmethod | classmethod)
        if public and is_call and name not in NOT_HERE and not name.startswith("model_"):
            if there.__name__ == "TokenRegistry" and not hasattr(here, name):
                # The store is the only list of its logins: there is nothing to register.
                assert name in (
                    "register",
                    "unregister",
                    "clear_namespace",
                    "clear_all",
                    "update_metadata",
                )
                continue
            check_call(getattr(there, name), getattr(here, name))


def check_call(there: Any, here: Any) -> None:
    """Checks that a call with the arguments of the old signature is a call of ours."""
    parameters = inspect.signature(here).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    assert inspect.iscoroutinefunction(here) == inspect.iscoroutinefunction(there), there
    positions = [name for name, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    theirs = inspect.signature(there).parameters.items()
    expected = [(name, p) for name, p in theirs if p.kind is p.POSITIONAL_OR_KEYWORD]
    for index, (name, parameter) in enumerate(expected):
        assert name in parameters or takes_all, f"{there.__qualname__}({name})"
        if name in positions:
            assert positions.index(name) == index, f"{there.__qualname__}({name})"
        if name in parameters and parameter.default is not parameter.empty:
            assert parameters[name].default is not parameter.empty, f"{there.__qualname__}({name})"
