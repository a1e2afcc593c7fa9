"""
Serve streams over RTSP: the classes that an application makes.

They are loaded when they are first used: the streaming process, which has a
part of this room too, may run under a Python without numpy.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpack._outputs.rtsp.output import RTSPOutput
    from backpack._outputs.rtsp.server import RTSPServer
    from backpack._outputs.rtsp.spyglass import RTSPSpyGlass
    from backpack._outputs.rtsp.spyglass import RTSPSpyGlass as RTSPSkyLine  # noqa: F401

__all__ = ["RTSPOutput", "RTSPServer", "RTSPSpyGlass"]

_HOMES = {
    "RTSPOutput": "backpack._outputs.rtsp.output",
    "RTSPServer": "backpack._outputs.rtsp.server",
    "RTSPSpyGlass": "backpack._outputs.rtsp.spyglass",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "RTSPSkyLine":
        warnings.warn(  # deprecated in 1.0 - 2026-11-22
            "backpack.rtsp.RTSPSkyLine is now called backpack.rtsp.RTSPSpyGlass.",
            DeprecationWarning,
            stacklevel=2,
        )
    elif name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new_name = name.replace("SkyLine", "SpyGlass")
    home = importlib.import_module(_HOMES[new_name])
    # Kept: `from backpack.rtsp import RTSPSkyLine` asks twice and is warned once.
    found = globals()[name] = getattr(home, new_name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
