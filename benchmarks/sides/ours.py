"""Be watched through SpyGlass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack.spyglass import SpyGlass

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]


class Ours:
    """Use SpyGlass as its README says, on a free port."""

    def __init__(self) -> None:
        self._spy = SpyGlass("rtsp://127.0.0.1:0/bench", required=True)

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start; the size comes from the first frame, the bitrate is chosen by SpyGlass."""
        del width, height, bitrate_kbps
        self._spy.start_streaming(fps=fps)
        return "rtsp", self._spy.urls()[0]

    def put(self, frame: Frames) -> bool:
        """Hand over a frame."""
        return self._spy.put(frame)

    def stats(self) -> dict[str, object]:
        """Tell what SpyGlass has counted."""
        return self._spy.stats().to_dict()

    def close(self) -> None:
        """Stop."""
        self._spy.stop_streaming()


SIDE = Ours
