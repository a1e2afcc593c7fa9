"""Stream to Kinesis Video Streams, at the rate that AWS's own producer was measured at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backpack.kvs import KVSSpyGlass

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]

BITRATE_KBPS = 2500


class KVS:
    """Use the native producer as its guide says."""

    def __init__(self) -> None:
        self._spy = KVSSpyGlass("us-east-1", "bench", bitrate_kbps=BITRATE_KBPS, required=True)
        self._began_ns = 0

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start; the size comes from the first frame."""
        del width, height, bitrate_kbps
        self._began_ns = time.monotonic_ns()
        self._spy.start_streaming(fps=fps)
        return "kvs", self._spy.urls()[0]

    def put(self, frame: Frames) -> bool:
        """Hand over a frame."""
        return self._spy.put(frame)

    def stats(self) -> dict[str, object]:
        """Tell what SpyGlass has counted, and when it was started."""
        return {**self._spy.stats().to_dict(), "began_ns": self._began_ns}

    def close(self) -> None:
        """Stop, and wait until what was put has arrived."""
        self._spy.stop_streaming(20)


SIDE = KVS
