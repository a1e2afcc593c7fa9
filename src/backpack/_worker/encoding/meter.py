"""Measure what comes out of an encoder: pictures and bits a second."""

from __future__ import annotations

import collections

_WINDOW_NS = 3_000_000_000
_SECOND_NS = 1_000_000_000


class Meter:
    """
    Keep the pictures of the last three seconds.

    `count` is called by one thread, `numbers` and `forget` by any. Reads no clock.
    """

    def __init__(self) -> None:
        # (when, bytes), oldest first.
        self._recent: collections.deque[tuple[int, int]] = collections.deque()

    def count(self, now_ns: int, size: int) -> None:
        """Count one picture of ``size`` bytes."""
        recent = self._recent
        recent.append((now_ns, size))
        while recent and now_ns - recent[0][0] > _WINDOW_NS:
            recent.popleft()

    def forget(self) -> None:
        """Begin anew: nothing is encoded any more."""
        self._recent.clear()

    def numbers(self, now_ns: int) -> dict[str, float]:
        """Return pictures and kilobits a second, under the names of `Stats`."""
        recent = [entry for entry in tuple(self._recent) if now_ns - entry[0] <= _WINDOW_NS]
        if len(recent) < 2:  # noqa: PLR2004 - one picture has no rate
            return {"fps": 0.0, "bitrate_kbps": 0.0}
        span_ns = max(recent[-1][0] - recent[0][0], 1)
        size = sum(entry[1] for entry in recent[1:])
        return {
            "fps": (len(recent) - 1) * _SECOND_NS / span_ns,
            "bitrate_kbps": size * 8 * 1e6 / span_ns,
        }
