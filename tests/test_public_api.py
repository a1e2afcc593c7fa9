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

PUBLIC = {
    "backpack": {
        "GstSink",
        "KVSSpyGlass",
        "RTSPServer",
        "RTSPSpyGlass",
        "Redaction",
        "SpyGlass",
        "WebServer",
        "WebSpyGlass",
        "__version__",
    },
    "backpack.errors": {
        "AddressInUseError",
        "BackpackError",
        "CredentialsError",
        "EncoderError",
        "FrameError",
        "MissingDependencyError",
        "OutputError",
        "PipelineError",
        "SettingsError",
        "ShortageError",
        "SigningError",
        "StateError",
    },
    "backpack.kvs": {
        "Credentials",
        "KVSCredentialsHandler",
        "KVSEnvironmentCredentialsHandler",
        "KVSFileCredentialsHandler",
        "KVSInlineCredentialsHandler",
        "KVSIoTCredentialsHandler",
        "KVSSpyGlass",
        "KVSStats",
    },
    "backpack.push": {"GstSink"},
    "backpack.redaction": {"Redaction"},
    "backpack.rtsp": {"RTSPServer", "RTSPSpyGlass"},
    "backpack.skyline": {"USE_LAST_VALUE", "SkyLine"},
    "backpack.spyglass": {"USE_LAST_VALUE", "SpyGlass", "State"},
    "backpack.stats": {"Stats"},
    "backpack.web": {"WebServer", "WebSpyGlass"},
}
"""Every module that users may import, and every name in it that they may rely on."""

REEXPORTING = {
    "backpack._gst.gi",
    "backpack._gst.rtsp",
    "backpack._gst.webrtc",
    "backpack._outputs.kvs.worker.http.library",
    "backpack._outputs.web.worker.aio",
}
"""Private modules with an `__all__`: they pass on names of other packages."""

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    MODULES = [
        importlib.import_module(entry.name)
        for entry in pkgutil.walk_packages(backpack.__path__, "backpack.")
        if not entry.name.endswith("__main__")
    ]


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


def test_the_public_api_is_this_list() -> None:
    """A module without an underscore in its path is listed, and its `__all__` is what is listed."""
    found = {
        module.__name__: set(module.__all__)
        for module in [backpack, *MODULES]
        if not any(part.startswith("_") for part in module.__name__.split("."))
    }
    assert found == PUBLIC


def test_few_names_are_public() -> None:
    """What can be relied on is a page long; the package's own names stand in their modules, too."""
    names = set().union(*PUBLIC.values())
    assert len(names | {"KVSSkyLine", "RTSPSkyLine"}) <= 35


def test_private_modules_announce_no_names() -> None:
    """An `__all__` says that a name is public; in a private module none is."""
    private = {module.__name__ for module in MODULES if hasattr(module, "__all__")} - set(PUBLIC)
    assert private == REEXPORTING


@pytest.mark.parametrize(
    ("module", "name"),
    [(module, name) for module, names in PUBLIC.items() for name in sorted(names)],
)
def test_every_public_name_is_there(module: str, name: str) -> None:
    """It can be had, and has a docstring where it is a class."""
    found = getattr(importlib.import_module(module), name)
    assert not inspect.isclass(found) or inspect.getdoc(found)


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


def test_the_version_is_that_of_the_package() -> None:
    """`__version__` and the package's own description agree."""
    import tomllib  # noqa: PLC0415 - from Python 3.11 on

    from tests.apps import SOURCE  # noqa: PLC0415 - of this test alone

    described = tomllib.loads((SOURCE.parent / "pyproject.toml").read_text())
    assert described["project"]["version"] == backpack.__version__
