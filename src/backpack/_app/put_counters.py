"""Count what became of the frames, and how long it took to hand them over."""

from __future__ import annotations

import enum
from array import array
from typing import Any

_RECENT = 512
_NS_PER_MS = 1e6
_NS_PER_SECOND = 1e9


class Outcome(enum.IntEnum):
    """What became of a frame that was put. The names are those of the counters."""

    ACCEPTED = 0
    NOT_WANTED = 1
    NOT_DUE = 2
    AWAY = 3
    STOPPED = 4
    STALE = 5
    # These two are not counted: the frame was not even looked at.
    DISABLED = -1
    FORKED = -2


_COUNTED = [outcome for outcome in Outcome if outcome >= 0]


class PutCounters:
    """Keep the counters of one SpyGlass. Not thread-safe: used under its lock."""

    def __init__(self) -> None:
        self._counts = [0] * len(_COUNTED)
        self._recent_ns = array("q", bytes(8 * _RECENT))
        self._puts = 0
        self._total_ns = 0

    def count(self, outcome: Outcome, duration_ns: int) -> None:
        """Count one call of `put` and what it took."""
        self._counts[outcome] += 1
        self._recent_ns[self._puts % _RECENT] = duration_ns
        self._puts += 1
        self._total_ns += duration_ns

    def add(self, outcome: Outcome, puts: int, total_ns: int) -> None:
        """Count calls that were only added up: each took about the same."""
        if puts:
            self._counts[outcome] += puts
            for index in range(self._puts, self._puts + min(puts, _RECENT)):
                self._recent_ns[index % _RECENT] = total_ns // puts
            self._puts += puts
            self._total_ns += total_ns

    def numbers(self) -> dict[str, Any]:
        """Return counters and durations under the names of `Stats`."""
        recent = sorted(self._recent_ns[: min(self._puts, _RECENT)]) or [0]
        last = len(recent) - 1
        return {
            "put": self._puts,
            "put_seconds": self._total_ns / _NS_PER_SECOND,
            "put_ms_p50": recent[last // 2] / _NS_PER_MS,
            "put_ms_p99": recent[last * 99 // 100] / _NS_PER_MS,
            "put_ms_max": recent[last] / _NS_PER_MS,
            **{outcome.name.lower(): self._counts[outcome] for outcome in _COUNTED},
        }
