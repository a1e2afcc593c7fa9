"""Remember what has happened to a producer, for states and numbers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from backpack.kvs.producer.commands import ProducerState, ProducerStatus

if TYPE_CHECKING:
    from backpack.kvs.producer.fragments import FragmentQueue

__all__ = ["Tally"]

MANY_FAILURES = 3
"""In a row are more than weather."""


class Tally:
    """
    Count what the queue and the cutter do not.

    Not thread-safe: it belongs to the producer.
    """

    def __init__(self) -> None:
        # What keeps it from sending, and what helps. Empty: nothing.
        self.trouble = ""
        # Times in a row that KVS could not read what it was sent.
        self.unreadable = 0
        # Fragments that were sent once more by connections that are over.
        self.resent = 0
        # Frames that came when it was over.
        self.frames_refused = 0
        self.reconnects: Counter[str] = Counter()
        self._last_fragment = ""
        self._persisted_at: float | None = None

    def failed(self, cause: str, times: int) -> None:
        """Note that it has not worked so many times in a row, the last time for this cause."""
        if times >= MANY_FAILURES:
            self.trouble = (
                f"KVS has not taken video {times} times in a row (the last time: {cause}); "
                "it is tried again. Look at the network."
            )

    def persisted(self, fragment: str, now: float) -> None:
        """Note that video has arrived: nothing keeps it from that now."""
        self._last_fragment = fragment
        self._persisted_at = now
        self.trouble = ""
        self.unreadable = 0

    @property
    def has_persisted(self) -> bool:
        """Tell whether anything has ever arrived."""
        return self._persisted_at is not None

    def status(
        self, state: ProducerState, queue: FragmentQueue, *, now: float, resent: int, lost: int
    ) -> ProducerStatus:
        """
        Put together what there is to say.

        Args:
            state: Where the producer is.
            queue: What waits.
            now: The time.
            resent: Fragments that the present connection has sent once more.
            lost: Frames that the cutter could not take.

        """
        age = None if self._persisted_at is None else now - self._persisted_at
        return ProducerStatus(
            state=state,
            trouble=self.trouble,
            buffered_seconds=queue.seconds,
            buffered_bytes=queue.size,
            buffered_frames=queue.frames,
            last_fragment=self._last_fragment,
            last_fragment_age_seconds=age,
            fragments_resent=self.resent + resent,
            frames_lost=self.frames_refused + lost,
            queue=dataclasses.replace(queue.counters),
            reconnects=dict(self.reconnects),
        )
