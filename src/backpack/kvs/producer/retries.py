"""Decide when to try again what did not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backpack.kvs.producer.backoff import FullJitter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Retries"]

MENDING_SECONDS: Final = 30.0
"""The shortest wait for somebody to mend something; the longest is twice that."""


class Retries:
    """
    Know when the next try is due. Reads no clock.

    Args:
        random: Gives a number from 0 up to 1.

    """

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._backoff = FullJitter(random)
        # Before this nothing is tried.
        self.not_before = float("-inf")

    @property
    def failures(self) -> int:
        """Tell how often in a row it has failed."""
        return self._backoff.failures

    def failed(self, now: float) -> None:
        """Wait longer than the last time."""
        self.not_before = now + self._backoff.next_wait()

    def mend(self, now: float) -> None:
        """Wait until somebody may have mended what is wrong; many cameras not all in step."""
        self.not_before = now + MENDING_SECONDS * (1.0 + self._random())

    def worked(self) -> None:
        """Begin with short waits when it fails the next time."""
        self._backoff.reset()

    def hurry(self, now: float) -> None:
        """Try at once, and then after short waits."""
        self.not_before = min(self.not_before, now)
        self._backoff.reset()
