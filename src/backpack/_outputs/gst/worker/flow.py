"""Decide from the level of its queue whether a pipeline takes what it is given."""

from __future__ import annotations

from typing import Final

_SECOND_NS: Final = 1_000_000_000
STALL_NS: Final = 10 * _SECOND_NS
"""A pipeline that has taken no picture for so long does not deliver."""

_PROOF_UNITS: Final = 5
_PROOF_NS: Final = 5 * _SECOND_NS
"""SRT takes pictures while it connects, and gives up after three seconds."""


class Flow:
    """
    Follow how many units leave a queue. Reads no clock; not thread-safe.

    An element whose far side does not answer reports nothing: it merely stops
    taking pictures, at the start after one or two of them.

    Args:
        now_ns: When the pipeline was started, on the monotonic clock.

    """

    def __init__(self, now_ns: int) -> None:
        self._started_ns = now_ns
        self._moved_ns = now_ns
        self._level = 0
        self._gone = 0

    def note(self, waiting: int, now_ns: int) -> None:
        """Note how many units wait, before another one is queued."""
        gone = self._level - waiting
        self._gone += gone
        if gone > 0 or not waiting:
            self._moved_ns = now_ns
        self._level = waiting

    def note_queued(self) -> None:
        """Called when a unit was queued."""
        self._level += 1

    def is_stalled(self, now_ns: int) -> bool:
        """Whether units wait, and none has left for `STALL_NS`."""
        return self._level > 0 and now_ns - self._moved_ns >= STALL_NS

    def is_proven(self, now_ns: int) -> bool:
        """Whether enough units have left to say that the pipeline delivers."""
        return self._gone >= _PROOF_UNITS and now_ns - self._started_ns >= _PROOF_NS
