"""
Watch what a headless computer-vision application sees.

The application calls ``put(frame)`` with the frame it has just annotated, and
the video can be watched. Importing this package loads nothing: each name is
loaded when it is first used.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from backpack._version import VERSION as __version__  # noqa: N811 - the name that Python knows

if TYPE_CHECKING:
    from backpack.kvs import KVSSpyGlass
    from backpack.push import GstSink
    from backpack.redaction import Redaction
    from backpack.rtsp import RTSPServer, RTSPSpyGlass
    from backpack.spyglass import SpyGlass
    from backpack.web import WebServer, WebSpyGlass

__all__ = [
    "GstSink",
    "KVSSpyGlass",
    "RTSPServer",
    "RTSPSpyGlass",
    "Redaction",
    "SpyGlass",
    "WebServer",
    "WebSpyGlass",
    "__version__",
]

_HOMES = {
    "GstSink": "backpack.push",
    "KVSSpyGlass": "backpack.kvs",
    "RTSPServer": "backpack.rtsp",
    "RTSPSpyGlass": "backpack.rtsp",
    "Redaction": "backpack.redaction",
    "SpyGlass": "backpack.spyglass",
    "WebServer": "backpack.web",
    "WebSpyGlass": "backpack.web",
    # Asked for by panorama-backpack's own modules.
    "lazy_property": "backpack._app.predecessor",
}

# An application may go on using modules of an installed panorama-backpack, which is called
# `backpack`, too: those that we lack are found there. Where both share a folder they are here.
for _folder in sys.path:
    _place = f"{_folder}/backpack"
    # By os.path: pathlib would be the most of what importing this package costs.
    if _place not in __path__ and os.path.isfile(f"{_place}/timepiece.py"):  # noqa: PTH113
        __path__.append(_place)


class _Missing:
    """Asked last, after whatever could have found a module of panorama-backpack."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Raise what says how to install it."""
        if name.startswith("backpack.") and name.count(".") == 1:
            predecessor = importlib.import_module("backpack._app.predecessor")
            if name[9:] in predecessor.MODULES:
                raise predecessor.missing_module(name)


sys.meta_path.append(_Missing)

# The application decides where logs go.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:  # noqa: ANN401
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
