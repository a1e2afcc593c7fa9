"""
Show streams in a browser: the classes that an application makes.

They are loaded when they are first used: the streaming process, which has a
part of this room too, may run under a Python without numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpack._outputs.web.output import WebOutput
    from backpack._outputs.web.server import WebServer
    from backpack._outputs.web.spyglass import WebSpyGlass

__all__ = ["WebOutput", "WebServer", "WebSpyGlass"]

_HOMES = {
    "WebOutput": "backpack._outputs.web.output",
    "WebServer": "backpack._outputs.web.server",
    "WebSpyGlass": "backpack._outputs.web.spyglass",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
