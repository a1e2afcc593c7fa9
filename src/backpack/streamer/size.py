"""Decide how large a stream's video is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack.settings import LARGEST_SIDE, SMALLEST_SIDE

if TYPE_CHECKING:
    from backpack.settings import StreamSettings

__all__ = ["stream_size"]

_CARD = (640, 360)


def stream_size(settings: StreamSettings, width: int | None, height: int | None) -> tuple[int, int]:
    """
    Give width and height of the video: even, for 4:2:0 has no half pixels.

    What was asked for counts; where only one side was, the other follows the
    frame's shape. Otherwise the size is the frame's, an odd one less a pixel.

    Args:
        settings: What was asked for.
        width: The first frame's width; None if there is none yet.
        height: The first frame's height.

    """
    frame_width, frame_height = width or _CARD[0], height or _CARD[1]
    wide, high = settings.width, settings.height
    if wide is None and high is None:
        wide, high = frame_width, frame_height
    elif wide is None and high is not None:
        wide = round(high * frame_width / frame_height)
    elif high is None and wide is not None:
        high = round(wide * frame_height / frame_width)
    return _even(wide or 0), _even(high or 0)


def _even(side: int) -> int:
    return min(max(side, SMALLEST_SIDE), LARGEST_SIDE) & ~1
