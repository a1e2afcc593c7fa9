"""Offer each way of being watched under the same three verbs: open, put, close."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["NAMES", "Side", "make"]

# Under the name of its module: what to call it in tables and pictures.
NAMES = {
    "ours": "SpyGlass",
    "predecessor": "panorama-backpack 0.3.2",
    "ffmpeg_pipe": "pipe into ffmpeg",
    "nothing": "no streaming",
}


class Side(Protocol):
    """One way of letting others watch. Every frame has the size given to ``open``."""

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start, and tell the viewer's source: a key of ``client.SOURCES`` and a location."""
        ...

    def put(self, frame: Frames) -> bool:
        """Hand over a frame. This is what is measured."""
        ...

    def stats(self) -> dict[str, object]:
        """Tell what the side itself has counted."""
        ...

    def close(self) -> None:
        """Stop."""
        ...


def make(name: str) -> Side:
    """
    Make a side; only then are its libraries imported.

    Args:
        name: A key of ``NAMES``.

    """
    side: Side = importlib.import_module(f"benchmarks.sides.{name}").SIDE()
    return side
