"""Decide which pictures one viewer gets, so that it never falls behind for long."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_US = 300_000
"""Of video that the page has not shown yet. A tunnel's buffers hide the rest from us."""

LONGEST_ROUND_TRIP_US = 500_000
"""What a far viewer's way may add to the window."""

KEY_SPACING_US = 1_000_000
"""One viewer on a narrow line must not cost the others a key frame every moment."""

STALLED_US = 5_000_000
"""Who has shown nothing for so long is not watching: a hidden tab, a line that is gone."""


@dataclass
class _Sent:
    sequence: int
    pts_us: int
    sent_us: int


class Flow:
    """
    Decide picture by picture, by what the page says that it has shown.

    TCP cannot tell how late a viewer is: its buffers, and those of every
    tunnel on the way, take seconds of video. The page can. Whoever has more
    than the window outstanding gets nothing more until all of it is shown, and
    then goes on at the newest key frame: latency does not grow.

    Reads no clock: times are microseconds on the monotonic one.
    """

    def __init__(self) -> None:
        # The shortest that was told. None: none was.
        self._round_trip_us: int | None = None
        self._outstanding: deque[_Sent] = deque()
        # Only a key frame helps: a new viewer, or one that fell behind.
        self._needs_key = True
        self._started = False
        # When a key frame was last asked for; None: not since the last one came.
        self._asked_us: int | None = None
        # When this viewer last asked for one at all.
        self._last_asked_us: int | None = None
        self.lost = 0
        self.skips = 0

    def admit(self, sequence: int, pts_us: int, *, key: bool, now_us: int) -> bool:
        """Decide whether this viewer gets a picture now."""
        window_us = WINDOW_US + (self._round_trip_us or 0)
        late = self._outstanding and pts_us - self._outstanding[0].pts_us > window_us
        if late or (self._needs_key and not key):
            if self._started:
                self.lost += 1
                self.skips += not self._needs_key
            self._needs_key = True
            return False
        self._needs_key = False
        self._started = True
        self._asked_us = None
        self._outstanding.append(_Sent(sequence, pts_us, now_us))
        return True

    def shown(self, sequence: int) -> None:
        """Called when the page shows this picture, and so is through with those before."""
        while self._outstanding and self._outstanding[0].sequence <= sequence:
            self._outstanding.popleft()

    def note_round_trip(self, round_trip_us: int) -> None:
        """
        Note how long the way is, there and back: a far viewer is not a slow one.

        Of all that a page tells in its life the shortest counts: the others have
        waited behind the pictures that we have sent, and would let us send more.
        """
        told_us = max(0, min(round_trip_us, LONGEST_ROUND_TRIP_US))
        if self._round_trip_us is None or told_us < self._round_trip_us:
            self._round_trip_us = told_us

    def restart(self) -> None:
        """Begin again at a key frame: the page has thrown away what it had."""
        self._outstanding.clear()
        self._needs_key = True
        self._started = False
        self._asked_us = None

    def resync(self) -> None:
        """
        Begin again at a key frame, since the page's decoder must.

        One that fails at each of them would ask and ask: it waits like all who ask again.
        """
        self._outstanding.clear()
        self._needs_key = True
        self._asked_us = self._last_asked_us

    def take_key_request(self, now_us: int) -> bool:
        """Answer whether to ask for a key frame now: it has room, and cannot go on without."""
        if not self._needs_key or self._outstanding or not self._started:
            return False
        if self._asked_us is not None and now_us - self._asked_us < KEY_SPACING_US:
            return False
        self._asked_us = self._last_asked_us = now_us
        return True

    def is_stalled(self, now_us: int) -> bool:
        """Return whether the page has long shown nothing of what it was sent."""
        return bool(self._outstanding) and now_us - self._outstanding[0].sent_us > STALLED_US
