"""Find what gets in the way: other packages named ``backpack``, and a foreign environment."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backpack._app.predecessor import repair_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_OURS: Final = "backpack-spyglass"
_NAME: Final = "backpack"
# Works beside us: `backpack.__init__` finds its modules.
_PREDECESSOR: Final = "panorama-backpack"

_DROPPED: Final = "kept from the streaming process; here it may hide the system's libraries"
_PASSED: Final = "passed on to the streaming process"
_VARIABLES: Final = {
    "PYTHONHOME": _DROPPED,
    "PYTHONPATH": _DROPPED,
    "LD_LIBRARY_PATH": _DROPPED,
    "LD_PRELOAD": _DROPPED,
    "GI_TYPELIB_PATH": _DROPPED,
    "GST_PLUGIN_SYSTEM_PATH": _DROPPED,
    "GST_PLUGIN_SYSTEM_PATH_1_0": _DROPPED,
    "GST_PLUGIN_SCANNER": _DROPPED,
    "GST_PLUGIN_PATH": _PASSED,
    "GST_REGISTRY": _PASSED,
    "CONDA_PREFIX": "conda's GStreamer and gi, if there, are used under this Python",
    "BACKPACK_PYTHON": "the only Python that is tried for the streaming process",
    "BACKPACK_SANDBOX": "off: the streaming process keeps all rights of the application",
    "BACKPACK_DISABLE": "every SpyGlass does nothing while it is set",
}


def other_owners(
    path: Iterable[str] | None = None, ours: Path = Path(__file__).parent.parent
) -> list[dict[str, str]]:
    """
    Find whatever else wants to be imported as ``backpack``.

    Args:
        path: Folders that Python imports from. None: this Python's.
        ours: Our own package.

    Returns:
        For each: ``name`` of the distribution or path of the folder,
        ``version``, ``place`` and ``remedy``.

    """
    folders = list(dict.fromkeys(sys.path if path is None else path))
    found = list(_distributions(folders))
    known = {str(one.locate_file(_NAME)) for one in found}
    distributions = _overwritten(ours) + [
        _owner(one, ours) for one in found if _name_of(one) != _PREDECESSOR
    ]
    folders_only = [
        {
            "name": str(place),
            "version": "",
            "place": str(place),
            "remedy": f"Rename it, or keep {place.parent} off Python's path.",
        }
        for place in _places(folders)
        if str(place) not in known and not _same(place, ours)
    ]
    return distributions + folders_only


def _distributions(folders: list[str]) -> Iterable[importlib.metadata.Distribution]:
    for found in importlib.metadata.distributions(path=folders):
        if _name_of(found) != _OURS and _NAME in _top_levels(found):
            yield found


def _name_of(distribution: importlib.metadata.Distribution) -> str:
    return (distribution.metadata["Name"] or "").lower().replace("_", "-")


def _overwritten(ours: Path) -> list[dict[str, str]]:
    """Find out whether panorama-backpack, as it came or as it went, took our first file along."""
    first = ours / "__init__.py"
    with contextlib.suppress(OSError):
        if "HOMES" in first.read_text("utf-8"):
            return []
    return [
        {
            "name": _PREDECESSOR,
            "version": "",
            "place": str(first),
            "remedy": f"It has overwritten or removed this file of ours. Run: {repair_command()}.",
        }
    ]


def _top_levels(distribution: importlib.metadata.Distribution) -> set[str]:
    declared = (distribution.read_text("top_level.txt") or "").split()
    if declared:
        return set(declared)
    # Most wheels of today hold no such file.
    files = distribution.files or ()
    return {file.parts[0].removesuffix(".py") for file in files if file.parts}


def _owner(distribution: importlib.metadata.Distribution, ours: Path) -> dict[str, str]:
    name = distribution.metadata["Name"]
    place = Path(str(distribution.locate_file(_NAME)))
    again = f", then install {_OURS} again: the two share a folder" if _same(place, ours) else ""
    return {
        "name": name,
        "version": distribution.version,
        "place": str(place),
        "remedy": f"Remove it: {sys.executable} -m pip uninstall {name}{again}.",
    }


def _places(folders: list[str]) -> Iterable[Path]:
    for folder in folders:
        base = Path(folder or os.curdir)
        if (base / _NAME / "__init__.py").is_file():
            yield base / _NAME
        elif (base / f"{_NAME}.py").is_file():
            yield base / f"{_NAME}.py"


def _same(place: Path, ours: Path) -> bool:
    try:
        return place.samefile(ours)
    except OSError:
        return False


def disturbing_variables(environ: Mapping[str, str] = os.environ) -> list[dict[str, Any]]:
    """List the variables that change which libraries are found, and what becomes of each."""
    return [
        {"name": name, "value": environ[name], "effect": effect}
        for name, effect in _VARIABLES.items()
        if environ.get(name)
    ]
