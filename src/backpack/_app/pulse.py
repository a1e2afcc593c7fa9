"""Decide whether the streaming process still answers, and when to ask it."""

from __future__ import annotations

PING_SECONDS = 2.0
"""How often it is asked. With the time for an answer it is found out within eight seconds."""

ANSWER_SECONDS = 5.0
"""How long it may say nothing at all once it was asked: a thread of its own answers."""

START_SECONDS = 60.0
"""The same while it starts: the first time GStreamer builds its registry."""

BUSY_PINGS = 10
"""
How many pings in a row its main loop may miss: 20 s.

It opens servers, and a name server or a driver may take several seconds for that.
"""

LOOK_SECONDS = 0.5
"""How often the time is counted while an answer is due."""

_LONGEST_STEP = 2 * LOOK_SECONDS
"""
What counts at the most of the time between two looks.

More means that we did not run ourselves, for we were stopped, starved, or held by a
debugger: what has passed then is not the streaming process's fault.
"""


class Pulse:
    """
    Count for how long a streaming process has said nothing. Reads no clock, sends nothing.

    Args:
        now: When it was started.

    """

    def __init__(self, now: float) -> None:
        self._is_starting = True
        # Whether it owes us a word: an answer, or that it has started.
        self._is_due = True
        self._bar = START_SECONDS
        self._counted_to = now
        self._next_ping = now
        # How many pings its main loop has missed in a row, as far as they count.
        self._behind = 0
        self.silent_seconds = 0.0

    def started(self, now: float) -> None:
        """Called when it has started, and answers from now on."""
        self._is_starting = self._is_due = False
        self._bar = ANSWER_SECONDS
        self._next_ping = now
        self.heard(now)

    def heard(self, now: float) -> None:
        """Called when it has sent something: whatever it is, it runs."""
        self._counted_to = now
        self.silent_seconds = 0.0

    def answered(self, now: float, behind: int) -> None:
        """
        Take the answer to a ping.

        Args:
            now: The time.
            behind: How many pings its main loop has missed in a row.

        """
        self.heard(now)
        self._is_due = False
        # One ping is answered after the other. What was missed before `start_over` is excused.
        self._behind = min(behind, self._behind + 1)

    def must_ask(self, now: float) -> bool:
        """Return, once, whether it is time for a ping."""
        if self._is_due or now < self._next_ping:
            return False
        self._is_due = True
        self._next_ping = now + PING_SECONDS
        self.heard(now)
        return True

    def ask_soon(self) -> None:
        """Make the next ping due: something is about to be waited for."""
        self._next_ping = 0.0

    def count(self, now: float) -> None:
        """Count the time that has passed, as far as we ran ourselves."""
        if self._is_due:
            self.silent_seconds += min(now - self._counted_to, _LONGEST_STEP)
        self._counted_to = now

    def verdict(self) -> str:
        """Return what keeps it from answering, as the rest of a sentence; empty if nothing does."""
        if self.silent_seconds >= self._bar:
            if self._is_starting:
                return f"did not start within {self._bar:.0f} s"
            return f"has not answered for {self._bar:.0f} s"
        if self._behind >= BUSY_PINGS:
            return f"has been held up by one thing for {BUSY_PINGS * PING_SECONDS:.0f} s"
        return ""

    def start_over(self, now: float) -> None:
        """Begin to count anew: somebody holds it on purpose."""
        self._behind = 0
        self.heard(now)

    def wait_seconds(self, now: float) -> float:
        """Return how long there is nothing to do."""
        return LOOK_SECONDS if self._is_due else max(0.0, self._next_ping - now)
