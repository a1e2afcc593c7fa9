"""Decide how long to wait before the next try."""

from __future__ import annotations


class Backoff:
    """
    Double the wait from try to try, until something has worked for a while.

    Args:
        first: Seconds before the first repetition.
        longest: Seconds that are never exceeded.

    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def next_wait(self) -> float:
        """Return the seconds to wait now; the next wait will be twice as long."""
        wait = self._next
        self._next = min(self._next * 2, self._longest)
        return wait

    def reset(self) -> None:
        """Begin anew: it has worked."""
        self._next = self._first
