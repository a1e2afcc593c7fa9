"""Decide how long to wait before AWS is asked again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_DOUBLINGS = 30


class FullJitter:
    """
    Wait anything between nothing and a limit that doubles from try to try.

    When a service comes back, its clients must not all return in step. (AWS
    Architecture Blog, "Exponential Backoff And Jitter"; AWS's own producer
    waits like this.)

    Args:
        random: Gives a number from 0 up to 1, as `random.random` does.
        first: Seconds that the first wait is at most.
        longest: Seconds that no wait exceeds.

    """

    def __init__(
        self, random: Callable[[], float], *, first: float = 0.1, longest: float = 10.0
    ) -> None:
        self._random = random
        self._first = first
        self._longest = longest
        # How often in a row it has failed.
        self.failures = 0

    def next_wait(self) -> float:
        """Return the seconds to wait now."""
        limit = self._first * 2.0 ** min(self.failures, _MOST_DOUBLINGS)
        self.failures += 1
        return self._random() * min(limit, self._longest)

    def reset(self) -> None:
        """Begin anew: it has worked."""
        self.failures = 0
