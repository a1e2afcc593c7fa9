"""Remember what has happened to a producer, for states and numbers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING

from backpack._outputs.kvs.worker.producer.commands import ProducerState, ProducerStatus

if TYPE_CHECKING:
    from backpack._outputs.kvs.shared.refusals import Refusal
    from backpack._outputs.kvs.worker.producer.fragments import Fragment, FragmentQueue
    from backpack._outputs.kvs.worker.producer.journal import JournalNumbers
    from backpack._outputs.kvs.worker.producer.session import PutMediaSession

MOST_UNREADABLE = 3
"""Times that KVS may say of the very first fragments that it cannot read them."""

MANY_FAILURES = 3
"""In a row are more than a transient error."""


class ProducerCounters:
    """
    Count what the queue and the cutter do not.

    Not thread-safe: it belongs to the producer.
    """

    def __init__(self) -> None:
        # What keeps it from sending, and what helps. Empty: nothing.
        self.trouble = ""
        # Whether that is something that somebody has to mend.
        self.mending = False
        # Why it did not work the last time, since when that has been so, and how often.
        self._cause = ""
        self._since = 0.0
        self._times = 0
        self._unreadable = 0
        self.reconnects: Counter[str] = Counter()
        # Of the connections that are over.
        self._sent = 0
        self._resent = 0
        self._last_fragment = ""
        self._persisted_at: float | None = None
        self._latency_seconds: float | None = None

    def failed(self, cause: str, times: int, refusal: Refusal, now: float) -> None:
        """
        Note that it has not worked, and what is to be told of it now.

        Args:
            cause: A few words that are the same each time.
            times: How often in a row it has not worked, for whatever cause.
            refusal: What is known of the cause.
            now: The time.

        """
        self.mending = False
        if cause != self._cause:
            self._cause, self._since, self._times = cause, now, 0
        self._times += 1
        passes = refusal.passes_seconds
        if passes is None:
            many = times >= MANY_FAILURES
            self.trouble = refusal.sentence or (_many(times, cause) if many else self.trouble)
        elif self._times >= MANY_FAILURES and now - self._since >= passes:
            self.trouble = refusal.sentence

    def add(self, session: PutMediaSession) -> None:
        """Note what a connection that is over has done."""
        self._sent += session.sent
        self._resent += session.resent

    def persisted(self, fragment: Fragment, name: str, now: float) -> None:
        """
        Note that video has arrived: nothing keeps it from that now.

        Args:
            fragment: The newest one that has.
            name: KVS's number for it.
            now: The time.

        """
        self._last_fragment = name
        self._persisted_at = now
        if not fragment.recovered:
            self._latency_seconds = now - fragment.begin_ns / 1e9
        self.trouble = self._cause = ""
        self.mending = False

    def unpersisted(self) -> None:
        """Note that video is received, and none of it persisted."""
        self.trouble = (
            "KVS receives video and persists none, so it waits here until there is no room. The "
            "stream's retention may have been set to 0 hours; else KVS has trouble of its own."
        )

    def unreadable(self) -> bool:
        """Note that KVS could not read a fragment, and tell whether it never will."""
        self._unreadable += 1
        return self._unreadable >= MOST_UNREADABLE and self._persisted_at is None

    def status(
        self,
        state: ProducerState,
        queue: FragmentQueue,
        *,
        now: float,
        session: PutMediaSession | None,
        lost: int,
        journal: JournalNumbers | None,
    ) -> ProducerStatus:
        """
        Put together what there is to say.

        Args:
            state: Where the producer is.
            queue: What waits.
            now: The time.
            session: The present connection.
            lost: Frames that no fragment could take.
            journal: What is on disk.

        """
        age = None if self._persisted_at is None else now - self._persisted_at
        return ProducerStatus(
            state=state,
            trouble=self.trouble,
            mending=self.mending,
            connected_seconds=None if session is None else now - session.opened_at,
            buffered_seconds=queue.seconds,
            buffered_bytes=queue.size,
            buffered_frames=queue.frames,
            last_fragment=self._last_fragment,
            last_fragment_age_seconds=age,
            latency_seconds=self._latency_seconds,
            fragments_sent=self._sent + (session.sent if session is not None else 0),
            fragments_resent=self._resent + (session.resent if session is not None else 0),
            frames_lost=lost,
            queue=dataclasses.replace(queue.counters),
            reconnects=dict(self.reconnects),
            journal=journal,
        )


def _many(times: int, cause: str) -> str:
    advice = " Look at the network."
    if cause[:1].isdigit():
        # It has answered.
        advice = " KVS has trouble of its own." if cause.startswith("5") else ""
    return (
        f"KVS has not taken video {times} times in a row (the last time: {cause}); "
        f"it is tried again.{advice}"
    )
