"""Settings of a stream: values that are checked once and then only read."""

from __future__ import annotations

import enum
import numbers
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_SIDE = 8192
"""The longest side of a frame, in pixels. Level 6.2 of H.264 ends about here."""

SMALLEST_SIDE = 16
"""The shortest side that the encoders of the table take, in pixels."""

DEFAULT_MAX_FPS = 30.0
"""How many frames a second pass where the application named no rate."""

HIGHEST_FPS = 240.0

_SIZE_WITHOUT_FRAME = (640, 360)


class PixelFormat(enum.Enum):
    """How the bytes of one pixel lie in memory."""

    BGR = "bgr"
    BGRA = "bgra"
    GRAY = "gray"

    @property
    def bytes_per_pixel(self) -> int:
        """How many bytes one pixel takes."""
        return {"bgr": 3, "bgra": 4, "gray": 1}[self.value]


def is_disabled(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether ``BACKPACK_DISABLE`` asks every SpyGlass to do nothing."""
    return environ.get("BACKPACK_DISABLE", "").strip().lower() not in ("", "0", "no", "false")


@dataclass(frozen=True)
class StreamSettings:
    """
    What one stream was asked to be.

    Attributes:
        fps: Frames per second that pass at the most. None: as put, at most 30.
        width: Width of the video in pixels. None: that of the first frame encoded.
        height: Height of the video in pixels. None: that of the first frame encoded.
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
            self._set("fps", _number("fps", self.fps, 0.01, HIGHEST_FPS, unit="frames a second"))
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None:
                self._set(name, _whole(name, value, SMALLEST_SIDE, LARGEST_SIDE, unit="pixels"))
        if self.bitrate_kbps is not None:
            kbps = _whole("bitrate_kbps", self.bitrate_kbps, 16, 200_000, unit="kbit/s")
            self._set("bitrate_kbps", kbps)
        if self.encoder is not None and not _is_element_name(self.encoder):
            raise SettingsError(
                f"encoder={self.encoder!r} is not the name of a GStreamer element. "
                "Give one as `spyglass doctor` lists them, for example 'x264enc'."
            )
        linger = _number("linger_seconds", self.linger_seconds, 0, 3600, unit="seconds")
        self._set("linger_seconds", linger)

    def _set(self, name: str, value: float) -> None:
        """Keep a value as Python's own type: numpy's cannot be sent as JSON."""
        object.__setattr__(self, name, value)

    @property
    def max_fps(self) -> float:
        """How many frames a second pass the gate at the most."""
        return DEFAULT_MAX_FPS if self.fps is None else self.fps

    def video_size(self, width: int | None = None, height: int | None = None) -> tuple[int, int]:
        """
        Return width and height of the video: even, for 4:2:0 has no half pixels.

        What was asked for counts; where only one side was, the other follows the
        frame's shape. Otherwise the size is the frame's, an odd one less a pixel.

        Args:
            width: The first frame's width; None: there is no frame yet.
            height: The first frame's height.

        """
        frame_width, frame_height = (
            width or _SIZE_WITHOUT_FRAME[0],
            height or _SIZE_WITHOUT_FRAME[1],
        )
        wide, high = self.width, self.height
        if wide is None and high is None:
            wide, high = frame_width, frame_height
        elif wide is None and high is not None:
            wide = round(high * frame_width / frame_height)
        elif high is None and wide is not None:
            high = round(wide * frame_height / frame_width)
        return _even(wide or 0), _even(high or 0)


def _even(side: int) -> int:
    return min(max(side, SMALLEST_SIDE), LARGEST_SIDE) & ~1


def _is_element_name(value: object) -> bool:
    return isinstance(value, str) and value.replace("_", "").isalnum()


def _number(name: str, value: object, low: float, high: float, *, unit: str) -> float:
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        number = float(value)
        if low <= number <= high:
            return number
    raise SettingsError(f"{name}={value!r}: give a number of {unit} from {low} to {high}.")


def _whole(name: str, value: object, low: int, high: int, *, unit: str) -> int:
    if not isinstance(value, bool) and isinstance(value, numbers.Real):
        number = float(value)
        if number.is_integer() and low <= number <= high:
            return int(number)
    raise SettingsError(f"{name}={value!r}: give a whole number of {unit} from {low} to {high}.")
