"""The times that go with a frame."""

from __future__ import annotations

from typing import NamedTuple


class Stamp(NamedTuple):
    """
    The times of one frame.

    Attributes:
        mono_ns: Monotonic time of capture. Strictly increasing, and whole
            microseconds: hardware encoders round what they are given.
        wall_ns: Time of capture since the epoch.
        epoch: Grows by one each time the wall clock has stepped.

    """

    mono_ns: int
    wall_ns: int
    epoch: int
