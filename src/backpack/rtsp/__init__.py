"""RTSP: a server for RTSP clients, and streams on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._app.predecessor import deprecated_name
from backpack._outputs.rtsp.server import RTSPServer
from backpack._outputs.rtsp.spyglass import RTSPSpyGlass

if TYPE_CHECKING:
    from backpack._outputs.rtsp.spyglass import RTSPSpyGlass as RTSPSkyLine  # noqa: F401

__all__ = [
    "RTSPServer",
    "RTSPSpyGlass",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name != "RTSPSkyLine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept: `from backpack.rtsp import RTSPSkyLine` asks twice and is warned once.
    found = globals()[name] = deprecated_name(f"{__name__}.{name}", RTSPSpyGlass)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
