"""Serve streams over RTSP: the classes that an application makes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from backpack.rtsp.spyglass import RTSPServer, RTSPSpyGlass

if TYPE_CHECKING:
    from backpack.rtsp.spyglass import RTSPSpyGlass as RTSPSkyLine  # noqa: F401

__all__ = ["RTSPServer", "RTSPSpyGlass"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name == "RTSPSkyLine":
        warnings.warn(  # deprecated in 1.0 - 2026-11-22
            "backpack.rtsp.RTSPSkyLine is now called backpack.rtsp.RTSPSpyGlass.",
            DeprecationWarning,
            stacklevel=2,
        )
        # `from backpack.rtsp import RTSPSkyLine` asks twice and is warned once.
        globals()[name] = RTSPSpyGlass
        return RTSPSpyGlass
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
