"""Decide when to try again what did not work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backpack._outputs.kvs.shared.refusals import NOTHING, Refusal
from backpack._outputs.kvs.worker.producer.backoff import FullJitter

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.worker.producer.counters import ProducerCounters

MENDING_SECONDS: Final = 30.0
"""The shortest wait for somebody to mend something; the longest is twice that."""


class Retries:
    """
    Know when the next try is due. Reads no clock.

    Args:
        random: Gives a number from 0 up to 1.
        counters: Is told why it has failed.

    """

    def __init__(self, random: Callable[[], float], counters: ProducerCounters) -> None:
        self._random = random
        self._counters = counters
        self._backoff = FullJitter(random)
        # Before this nothing is tried.
        self.not_before = float("-inf")

    def failed(self, cause: str, now: float, refusal: Refusal = NOTHING) -> None:
        """
        Wait longer than the last time.

        Args:
            cause: A few words that are the same each time.
            now: The time.
            refusal: What is known of the cause.

        """
        self.not_before = now + self._backoff.next_wait()
        self._counters.failed(cause, self._backoff.failures, refusal, now)

    def mend(self, now: float) -> None:
        """Wait until somebody may have mended what is wrong; many cameras not all in step."""
        self._counters.mending = True
        self.not_before = now + MENDING_SECONDS * (1.0 + self._random())

    def worked(self) -> None:
        """Begin with short waits when it fails the next time."""
        self._backoff.reset()

    def hurry(self, now: float) -> None:
        """Try at once, and then after short waits."""
        self.not_before = min(self.not_before, now)
        self._backoff.reset()
