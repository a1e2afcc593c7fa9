"""Encode and throw away: what streaming costs without anybody to stream to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack.push import GstSink
from backpack.spyglass import SpyGlass
from benchmarks.sides.kvs import BITRATE_KBPS

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]


class Discard:
    """Stream into nothing, at the rate of the other one."""

    def __init__(self) -> None:
        self._spy = SpyGlass(GstSink("fakesink"), bitrate_kbps=BITRATE_KBPS, required=True)

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start; the size comes from the first frame."""
        del width, height, bitrate_kbps
        self._spy.start_streaming(fps=fps)
        return "nothing", ""

    def put(self, frame: Frames) -> bool:
        """Hand over a frame."""
        return self._spy.put(frame)

    def stats(self) -> dict[str, object]:
        """Tell what SpyGlass has counted."""
        return self._spy.stats().to_dict()

    def close(self) -> None:
        """Stop."""
        self._spy.stop_streaming()


SIDE = Discard
