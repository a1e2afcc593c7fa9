"""Keep account of the pictures inside an encoder, and say when it hangs."""

from __future__ import annotations

import collections
from typing import Final

_TOLERANCE_NS: Final = 1_000
"""Times are whole microseconds, as V4L2's encoders know nothing smaller."""


class Inside:
    """
    The pictures that went into an encoder and have not come out yet.

    Reads no clock and locks nothing: who uses it does.

    Args:
        delay_pictures: How many the encoder may keep for good. Two more may
            go in: one that is being encoded, one that waits.

    """

    def __init__(self, delay_pictures: int) -> None:
        self._delay = delay_pictures
        # Of each picture its own time and when it went in, oldest first.
        self._pictures: collections.deque[tuple[int, float]] = collections.deque()

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def has_room(self) -> bool:
        """Whether another may go in."""
        return len(self._pictures) < self._delay + 2

    @property
    def oldest_ns(self) -> int | None:
        """The time of the oldest picture inside."""
        return self._pictures[0][0] if self._pictures else None

    def enter(self, pts_ns: int, now: float) -> None:
        """Note that a picture goes in at ``now``, in monotonic seconds."""
        self._pictures.append((pts_ns, now))

    def leave(self, time_ns: int) -> int:
        """
        Note that a picture came out, and give the time that it went in with.

        Most encoders keep times, and then the picture is known by its own.
        Some (vah264enc of GStreamer 1.22) count up by the nominal rate
        instead; as nothing is reordered, it is then the oldest inside.

        Args:
            time_ns: The time that the encoder gave it.

        """
        times = [own for own, _ in self._pictures]
        known = next((own for own in times if abs(own - time_ns) < _TOLERANCE_NS), None)
        while self._pictures:
            own_ns, _ = self._pictures.popleft()
            if known is None or own_ns == known:
                return own_ns
        return time_ns

    def stalled_for(self, now: float) -> float:
        """Return for how long a picture has been inside that should have come out."""
        if len(self._pictures) <= self._delay:
            return 0.0
        return now - self._pictures[0][1]

    def clear(self) -> None:
        """Forget them all."""
        self._pictures.clear()
