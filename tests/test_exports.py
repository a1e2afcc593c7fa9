from __future__ import annotations

import importlib
import inspect
import pkgutil
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import backpack

if TYPE_CHECKING:
    from types import ModuleType

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    MODULES = [
        importlib.import_module(entry.name)
        for entry in pkgutil.walk_packages(backpack.__path__, "backpack.")
        if not entry.name.endswith("__main__")
    ]


def names(module: ModuleType) -> list[str]:
    """Give the names of a module's `__all__`."""
    return list(getattr(module, "__all__", []))


def own(module: ModuleType) -> list[tuple[str, Any]]:
    """Give the classes and functions that a module defines and does not hide."""
    return [
        (name, thing)
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == module.__name__
    ]


def test_the_packages_names_are_there() -> None:
    """Every name of `backpack.__all__` can be had, and is listed."""
    for name in backpack.__all__:
        assert getattr(backpack, name) is not None
        assert name in dir(backpack)
    with pytest.raises(AttributeError, match="Nothing"):
        backpack.Nothing  # noqa: B018 - asking is the point


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_list_of_names_is_right(module: ModuleType) -> None:
    """What `__all__` names exists, once, and is not private."""
    listed = names(module)
    assert len(listed) == len(set(listed))
    for name in listed:
        assert hasattr(module, name)
        assert not name.startswith("_")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_thing_has_a_docstring(module: ModuleType) -> None:
    """Modules, classes, functions and methods say what they do."""
    if Path(module.__file__ or "").stat().st_size:
        assert module.__doc__, module.__name__
    for name, thing in own(module):
        assert inspect.getdoc(thing), f"{module.__name__}.{name}"
        if not inspect.isclass(thing):
            continue
        for part, member in vars(thing).items():
            is_public = not part.startswith("_") or part == "__call__"
            if is_public and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(getattr(thing, part)), f"{module.__name__}.{name}.{part}"


def test_names_that_are_fixed_are_there() -> None:
    """What is published stays where it is."""
    for path in ("spyglass.SpyGlass", "rtsp.RTSPServer", "rtsp.RTSPSpyGlass", "push.GstSink"):
        module, _, name = path.rpartition(".")
        assert hasattr(importlib.import_module(f"backpack.{module}"), name)


def test_the_version_is_that_of_the_package() -> None:
    """`__version__` and the package's own description agree."""
    import tomllib  # noqa: PLC0415 - from Python 3.11 on

    from tests.apps import SOURCE  # noqa: PLC0415 - of this test alone

    described = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())
    assert described["project"]["version"] == backpack.__version__
