"""Hold what was asked for: values that are checked once and then only read."""

from __future__ import annotations

import enum
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LARGEST_SIDE",
    "SMALLEST_SIDE",
    "PixelFormat",
    "StreamSettings",
    "is_disabled",
]

LARGEST_SIDE = 8192
"""The longest side of a frame, in pixels. Level 6.2 of H.264 ends about here."""

SMALLEST_SIDE = 16
"""The shortest side that the encoders of the table take, in pixels."""

DEFAULT_MAX_FPS = 30.0
"""How many frames a second pass where the application named no rate."""

HIGHEST_FPS = 240.0


class PixelFormat(enum.Enum):
    """How the bytes of one pixel lie in memory."""

    BGR = "bgr"
    BGRA = "bgra"
    GRAY = "gray"

    @property
    def bytes_per_pixel(self) -> int:
        """Tell how many bytes one pixel takes."""
        return {"bgr": 3, "bgra": 4, "gray": 1}[self.value]


def is_disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether ``BACKPACK_DISABLE`` asks every SpyGlass to do nothing."""
    return environ.get("BACKPACK_DISABLE", "").strip().lower() not in ("", "0", "no", "false")


@dataclass(frozen=True)
class StreamSettings:
    """
    What one stream was asked to be.

    Attributes:
        fps: Frames per second that pass at the most. None: as put, at most 30.
        width: Width of the video in pixels. None: that of the first frame.
        height: Height of the video in pixels. None: that of the first frame.
        bitrate_kbps: Bits per second / 1000. None: chosen by size and rate.
        encoder: Name of the GStreamer element to use. None: the best that
            passes a trial.
        linger_seconds: How long encoding goes on after the last viewer left.

    Raises:
        SettingsError: A value is outside of what is allowed.

    """

    fps: float | None = None
    width: int | None = None
    height: int | None = None
    bitrate_kbps: int | None = None
    encoder: str | None = None
    linger_seconds: float = field(default=5.0)

    def __post_init__(self) -> None:
        if self.fps is not None:
            _check_number("fps", self.fps, 0.01, HIGHEST_FPS, unit="frames a second")
        for name, value in (("width", self.width), ("height", self.height)):
            if value is not None:
                _check_whole(name, value, SMALLEST_SIDE, LARGEST_SIDE, unit="pixels")
        if self.bitrate_kbps is not None:
            _check_whole("bitrate_kbps", self.bitrate_kbps, 16, 200_000, unit="kbit/s")
        if self.encoder is not None and not self.encoder.replace("_", "").isalnum():
            raise SettingsError(
                f"encoder={self.encoder!r} is not the name of a GStreamer element. "
                "Give one as `spyglass doctor` lists them, for example 'x264enc'."
            )
        _check_number("linger_seconds", self.linger_seconds, 0, 3600, unit="seconds")

    @property
    def max_fps(self) -> float:
        """Tell how many frames a second pass the gate at the most."""
        return DEFAULT_MAX_FPS if self.fps is None else self.fps


def _check_number(name: str, value: object, low: float, high: float, *, unit: str) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type,operator]
        raise SettingsError(f"{name}={value!r}: give a number of {unit} from {low} to {high}.")


def _check_whole(name: str, value: object, low: int, high: int, *, unit: str) -> None:
    try:
        whole = not isinstance(value, bool) and int(value) == value  # type: ignore[call-overload]
    except (TypeError, ValueError):
        whole = False
    if not whole or not low <= value <= high:  # type: ignore[operator]
        raise SettingsError(
            f"{name}={value!r}: give a whole number of {unit} from {low} to {high}."
        )
