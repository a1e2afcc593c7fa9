"""Be the application alone: what is measured with it is subtracted or divided by."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]


class Nothing:
    """Let nobody watch."""

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Do nothing; there is no source."""
        del width, height, fps, bitrate_kbps
        return "", ""

    def put(self, frame: Frames) -> bool:
        """Do nothing."""
        del frame
        return False

    def stats(self) -> dict[str, object]:
        """Tell nothing."""
        return {}

    def close(self) -> None:
        """Do nothing."""


SIDE = Nothing
