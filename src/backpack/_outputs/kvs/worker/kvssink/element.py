"""Look for kvssink, and say why it cannot be had. In the child, or in a throw-away process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Final

from backpack._gst.gi import Gst
from backpack._outputs.kvs.shared.dotenv import LIBRARY_PATH, PLUGIN_PATH

ELEMENT: Final = "kvssink"
FILE: Final = "libgstkvssink.so"


def find_element() -> dict[str, Any]:
    """
    Try to load kvssink.

    Returns:
        Where it was found: ``version`` and ``path``. Otherwise ``why``.

    """
    factory = Gst.ElementFactory.find(ELEMENT)
    if factory is None or factory.create(None) is None:
        return {"why": _why_not()}
    plugin = factory.get_plugin()
    if plugin is None:
        return {"version": "", "path": ""}
    return {"version": plugin.get_version(), "path": plugin.get_filename() or ""}


def _why_not() -> str:
    folders = [one for one in os.environ.get(PLUGIN_PATH, "").split(os.pathsep) if one]
    if not folders:
        return f"{PLUGIN_PATH} is not set, and GStreamer's own folders do not hold it"
    files = [path for folder in folders for path in _files(Path(folder))]
    if not files:
        return f"{PLUGIN_PATH} names no folder that holds {FILE}: {os.pathsep.join(folders)}"
    try:
        # The dynamic linker says which library is missing; GStreamer keeps it to itself.
        ctypes.CDLL(os.fspath(files[0]))
    except OSError as error:
        return f"{files[0]} cannot be loaded, see {LIBRARY_PATH}: {error}"
    return f"{files[0]} was loaded, but GStreamer does not take it"


def _files(folder: Path) -> list[Path]:
    """GStreamer looks into folders within, too."""
    return sorted(folder.rglob(FILE)) if folder.is_dir() else []
