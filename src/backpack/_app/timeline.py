"""Decide which time a frame carries: one that only grows, and one with a date."""

from __future__ import annotations

import numbers
from typing import Union

from backpack._ipc.stamp import Stamp
from backpack.errors import FrameError

Timestamp = Union[float, "tuple[int, int]"]
"""Seconds since the epoch, or (seconds, microseconds) as AWS Panorama gives them."""

_SECOND_NS = 1_000_000_000
_MICROSECOND_NS = 1_000

STEP_NS = _SECOND_NS // 2
"""A wall clock that moves this far against the monotonic one has stepped."""

FAR_NS = 10 * _SECOND_NS
"""A timestamp further from the clock than this says nothing about delay."""

LATE_NS = _SECOND_NS
"""A recording that falls this far behind its own times is played slower: it is placed anew."""


class Timeline:
    """
    Stamp frames so that time never runs backward inside a stream.

    Order and spacing come from the monotonic clock, the date from the wall
    clock through an anchor: the distance of the two clocks. When the wall
    clock steps, a new anchor is taken and the epoch grows.

    Reads no clock. Not thread-safe: the SpyGlass asks it under its own lock.
    """

    def __init__(self) -> None:
        # wall - monotonic. None until the first frame.
        self._anchor_ns: int | None = None
        # monotonic - timestamp, where the application's timestamps are no
        # present times (a recording that is played): order and spacing count.
        self._replay_ns: int | None = None
        self._epoch = 0
        self._last_mono_ns = -1

    def stamp(self, mono_ns: int, wall_ns: int, captured_ns: int | None) -> Stamp | None:
        """
        Return a frame its times.

        Args:
            mono_ns: The monotonic clock, now, in nanoseconds.
            wall_ns: The wall clock, now, in nanoseconds since the epoch.
            captured_ns: When the frame was captured, as the application says:
                what `captured_at` gave. None: now.

        Returns:
            The times, or None where the frame is not newer than the last one.

        """
        anchor_ns = wall_ns - mono_ns
        if self._anchor_ns is None:
            self._anchor_ns = anchor_ns
        elif abs(anchor_ns - self._anchor_ns) > STEP_NS:
            self._anchor_ns = anchor_ns
            self._epoch += 1
        if captured_ns is None:
            place_ns, captured_ns = mono_ns, mono_ns + self._anchor_ns
        else:
            place_ns = self._monotonic(captured_ns, mono_ns, wall_ns)
        place_ns -= place_ns % _MICROSECOND_NS
        if place_ns <= self._last_mono_ns:
            return None
        self._last_mono_ns = place_ns
        return Stamp(place_ns, captured_ns, self._epoch)

    def _monotonic(self, captured_ns: int, mono_ns: int, wall_ns: int) -> int:
        """Place a capture time on the monotonic clock."""
        age_ns = wall_ns - captured_ns
        if age_ns <= FAR_NS:
            return mono_ns - age_ns
        replay_ns = self._replay_ns
        if replay_ns is None or not -LATE_NS <= captured_ns + replay_ns - mono_ns <= 0:
            # Never ahead of the clock either: a recording that is played
            # faster than it was made would have to stand still later.
            self._replay_ns = replay_ns = mono_ns - captured_ns
        return captured_ns + replay_ns


def captured_at(timestamp: Timestamp, wall_ns: int) -> int:
    """
    Read a timestamp as nanoseconds since the epoch.

    Args:
        timestamp: When the frame was captured, as the application says.
        wall_ns: The wall clock, now.

    Raises:
        FrameError: It is no time, or lies over 10 s in the future.

    """
    value = _nanoseconds(timestamp)
    if value - wall_ns > FAR_NS:
        raise FrameError(
            f"The timestamp lies {(value - wall_ns) / _SECOND_NS:.1f} s in the future. Give "
            "seconds since the epoch (time.time()), or (seconds, microseconds)."
        )
    if value < 0:
        raise FrameError(f"timestamp={timestamp!r} lies before 1970.")
    return value


def _nanoseconds(timestamp: object) -> int:
    try:
        if isinstance(timestamp, (tuple, list)):
            seconds, microseconds = timestamp
            return int(seconds) * _SECOND_NS + int(microseconds) * _MICROSECOND_NS
        if not isinstance(timestamp, bool) and isinstance(timestamp, numbers.Real):
            return round(float(timestamp) * _SECOND_NS)
    except (TypeError, ValueError, OverflowError):
        pass
    raise FrameError(
        f"timestamp={timestamp!r} is no time. Give seconds since the epoch "
        "(time.time()), or (seconds, microseconds)."
    )
