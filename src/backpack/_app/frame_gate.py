"""Decide, frame by frame, whether it is worth a copy: is it wanted, is it due."""

from __future__ import annotations

import enum

_SECOND_NS = 1_000_000_000

IDLE_INTERVAL_NS = _SECOND_NS
"""While nobody watches one frame a second passes, so that a new viewer sees one at once."""

IDLE_SHARE = 4000
"""How many times as long as it takes to copy a frame it is until the next one passes."""

LONGEST_IDLE_NS = 5 * _SECOND_NS
"""The longest that gets, with large frames or slow memory."""


class Verdict(enum.Enum):
    """What becomes of a frame."""

    PASS = enum.auto()
    NOT_WANTED = enum.auto()
    NOT_DUE = enum.auto()


class FrameGate:
    """
    Let frames pass on a schedule, not by their distance.

    A frame is due at ``next``, and up to half an interval before it: the plain
    test "at least an interval since the last one" would lose a third of the
    frames of a 30 fps application whose clock jitters. What was missed is not
    caught up. But a frame that is late by less than an interval leaves the
    schedule as it is: else the next one would come early, and be lost for it.

    The schedule begins with a frame, and that one may have come late, as first
    frames do: then all others would come early, and the least jitter would
    lose some. So those after it may draw the schedule back by half an interval
    in all: as much as the late one has pushed it, and no more.

    The gate reads no clock and holds no frame. It is not thread-safe: the
    SpyGlass asks it under its own lock.

    Args:
        max_fps: Frames per second that pass at the most.

    """

    def __init__(self, max_fps: float) -> None:
        self._interval_ns = round(_SECOND_NS / max_fps)
        self._next_ns = 0
        # How far early frames may still draw the schedule back.
        self._slack_ns = 0
        self._was_wanted = False
        self._idle_interval_ns = IDLE_INTERVAL_NS

    @property
    def quiet_until_ns(self) -> int:
        """Return until when no frame passes if nobody comes."""
        return self._next_ns - (max(self._interval_ns, self._idle_interval_ns) >> 1)

    def note_copy(self, duration_ns: int) -> None:
        """
        Note what an unwatched frame has cost; the next one waits accordingly.

        Nobody sees these frames but the next new viewer, so they may cost next
        to nothing: a four-thousandth of the time.
        """
        before_ns = self._idle_interval_ns
        wait_ns = duration_ns * IDLE_SHARE
        self._idle_interval_ns = min(max(IDLE_INTERVAL_NS, wait_ns), LONGEST_IDLE_NS)
        self._next_ns += self._idle_interval_ns - before_ns

    def decide(self, now_ns: int, *, wanted: bool, least_interval_ns: int = 0) -> Verdict:
        """
        Answer for a frame that was put at ``now_ns``.

        Args:
            now_ns: Monotonic time in nanoseconds.
            wanted: Whether anybody watches.
            least_interval_ns: The streaming process may ask for fewer frames
                than the application allowed; 0 where it does not.

        """
        if wanted:
            if not self._was_wanted:
                # Whoever has just come has waited long enough.
                self._was_wanted = True
                self._begin_at(now_ns)
            interval_ns = max(self._interval_ns, least_interval_ns)
        else:
            self._was_wanted = False
            interval_ns = max(self._interval_ns, self._idle_interval_ns)
        early_ns = self._next_ns - now_ns
        if early_ns > interval_ns >> 1:
            if early_ns <= interval_ns << 1:
                return Verdict.NOT_DUE if wanted else Verdict.NOT_WANTED
            # The interval was longer when the schedule was made.
            early_ns = 0
            self._begin_at(now_ns)
        if -early_ns >= interval_ns:
            self._begin_at(now_ns)
        elif early_ns > 0:
            drawn_ns = min(early_ns, self._slack_ns)
            self._slack_ns -= drawn_ns
            self._next_ns -= drawn_ns
        self._next_ns += interval_ns
        return Verdict.PASS

    def _begin_at(self, now_ns: int) -> None:
        """Make a frame the first one of the schedule."""
        self._next_ns = now_ns
        self._slack_ns = self._interval_ns >> 1
