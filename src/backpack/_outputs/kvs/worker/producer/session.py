"""Decide what goes into one PutMedia connection, and what its answers free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backpack._outputs.kvs.worker.producer.acks import Event
from backpack._outputs.kvs.worker.producer.matroska import END_OF_FRAGMENT, header

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.producer.acks import Ack
    from backpack._outputs.kvs.worker.producer.fragments import Fragment, FragmentQueue
    from backpack._outputs.kvs.worker.producer.matroska import Track

CLUSTER_SPACING_SECONDS = 0.25
"""KVS takes five fragments a second, as they arrive; after an outage there may be sixty to send."""

STALE_SECONDS = 20.0
"""For so long an answer that is due may be missing. AWS's producers wait 20 to 60."""

UNPERSISTED_SECONDS = 30.0
"""For so long KVS may only receive; it mostly persists within a second."""

LIFETIME_SECONDS = 39 * 60.0
"""Of a connection. KVS cuts it off at 45 minutes, AWS's producers end it by 40."""

LIFETIME_JITTER_SECONDS = 3 * 60.0

EXPIRY_MARGIN_SECONDS = 10.0
"""A fragment ends that long before its connection's credentials do."""


def lifetime_seconds(chance: float, expires_in_seconds: float | None) -> float:
    """
    Decide how long a connection may last until it ends between two fragments.

    Args:
        chance: From 0 up to 1. Many cameras that were switched on together
            must not come back together.
        expires_in_seconds: How long its credentials last. None: for ever.

    """
    seconds = LIFETIME_SECONDS - chance * LIFETIME_JITTER_SECONDS
    if expires_in_seconds is None:
        return seconds
    left = max(expires_in_seconds - EXPIRY_MARGIN_SECONDS, expires_in_seconds / 2, 0.0)
    return min(seconds, left)


@dataclass(eq=False)
class _Sent:
    """
    A fragment that went into this connection, whole or in part.

    The queue alone holds the fragment: what it lets go must not wait here for an
    answer that may never come.
    """

    sequence: int
    # As it was written: what the answers name it by.
    timecode_ms: int
    received: bool = False


class PutMediaSession:
    """
    Send fragments from the first one that is not persisted, each from its first frame.

    A connection has one header and growing times. So it ends where another
    track or timeline begins, and where it is old enough, always between two
    fragments. It ends, too, when everything is sent and nothing grows: the
    source is silent, or the stream stops.

    Reads no clock and no socket. Times are seconds of any monotonic clock.

    Args:
        queue: Where the fragments wait.
        segment_uid: See `matroska.header`.
        now: When the service took the connection.
        rotate_at: From then on it ends at the next fragment.
        persists: Whether the stream keeps what it is sent. If it does not,
            fragments are free once they are received.
        last_cluster_at: When the connection before this one began its last
            fragment.

    """

    def __init__(
        self,
        queue: FragmentQueue,
        *,
        segment_uid: bytes,
        now: float,
        rotate_at: float,
        persists: bool = True,
        last_cluster_at: float = float("-inf"),
    ) -> None:
        self._queue = queue
        self._segment_uid = segment_uid
        self._rotate_at = rotate_at
        self._persists = persists
        self.last_cluster_at = last_cluster_at
        self._sent: list[_Sent] = []
        # The fragment that is being sent, and how many of its blocks have been.
        self._current: Fragment | None = None
        self._blocks = 0
        # Timeline and track of the first one that was begun, and the last one's sequence.
        self._first: tuple[int, Track] | None = None
        self._sequence = 0
        # Since when an answer is due. None: there is none to come.
        self._due_since: float | None = None
        self._heard_at = now
        self.opened_at = now
        # Nothing follows: the body is to be ended.
        self.ended = False
        # Since when something is received and nothing persisted. None: nothing is.
        self._received_at: float | None = None
        # Fragments that were begun here, and those of them that another
        # connection had seen before.
        self.sent = 0
        self.resent = 0

    def next_data(self, now: float) -> bytes | None:
        """
        Return what is to be sent next: one frame, with what stands before it.

        Returns:
            The bytes, or None while there is nothing to send. `ended` says
            then whether anything will follow.

        """
        if self.ended:
            return None
        if self._current is None:
            return self._begin(now)
        if self._blocks < len(self._current.blocks):
            return self._next_block()
        if not self._current.complete:
            return None
        self._current = None
        self._queue.busy = None
        return self._begin(now)

    def _begin(self, now: float) -> bytes | None:
        following = self._queue.after(self._sequence)
        if following is None or self._ends_before(following, now):
            return self._end(now)
        if now < self.last_cluster_at + CLUSTER_SPACING_SECONDS:
            return None
        data = following.head()
        if self._first is None:
            self._first = (following.timeline, following.track)
            data = header(self._segment_uid, following.track) + data
        self.sent += 1
        self.resent += following.sent
        following.sent = True
        self._sent.append(_Sent(following.sequence, following.timecode_ms))
        self._current = self._queue.busy = following
        self._sequence = following.sequence
        self._blocks = 0
        self.last_cluster_at = now
        self._expect(now)
        return data + self._next_block()

    def _next_block(self) -> bytes:
        assert self._current is not None  # noqa: S101 - both callers have just looked
        self._blocks += 1
        return self._current.blocks[self._blocks - 1]

    def _ends_before(self, following: Fragment, now: float) -> bool:
        if self._first is None:
            return False
        other = self._first != (following.timeline, following.track)
        return other or now >= self._rotate_at

    def _end(self, now: float) -> bytes | None:
        self.ended = True
        if self._first is None:
            return None
        self._expect(now)
        return END_OF_FRAGMENT

    def _expect(self, now: float) -> None:
        if self._due_since is None:
            self._due_since = now

    def progressed(self, now: float) -> None:
        """Called when the far side still takes bytes: on a slow line answers are late."""
        if self._due_since is not None:
            self._due_since = now

    def take(self, ack: Ack, now: float) -> Fragment | None:
        """
        Note an answer that is no error.

        Returns:
            The newest fragment that it has freed. None: it has freed none.

        """
        self._due_since = None
        self._heard_at = now
        place = self._place(ack)
        if place is None or not self._is_whole(place):
            # What was never sent whole cannot have been taken whole.
            return None
        if ack.event is Event.RECEIVED:
            for sent in self._sent[: place + 1]:
                sent.received = True
            if self._received_at is None:
                self._received_at = now
        frees = ack.event is Event.PERSISTED or (ack.event is Event.RECEIVED and not self._persists)
        if not frees:
            return None
        self._received_at = None
        sequence = self._sent[place].sequence
        del self._sent[: place + 1]
        return self._queue.free(sequence)

    def refused(self, ack: Ack) -> Fragment | None:
        """Return which fragment an error is about: the named one, else the one being taken."""
        place = self._place(ack)
        if place is not None:
            found: _Sent | None = self._sent[place]
        else:
            found = next((one for one in self._sent if not one.received), None)
        return None if found is None else self._queue.find(found.sequence)

    def _place(self, ack: Ack) -> int | None:
        if ack.timecode_ms is None:
            return None
        return next(
            (i for i, one in enumerate(self._sent) if one.timecode_ms == ack.timecode_ms), None
        )

    def _is_whole(self, place: int) -> bool:
        return self.ended or place < len(self._sent) - 1

    def close(self) -> None:
        """Let the fragment go that was being sent."""
        self._queue.busy = None

    def keeps_nothing(self, now: float) -> bool:
        """Return whether fragments have been received for long, and none persisted."""
        return self._received_at is not None and now >= self._received_at + UNPERSISTED_SECONDS

    @property
    def settled(self) -> bool:
        """Whether everything that was sent has been freed."""
        return not self._sent

    @property
    def stale_at(self) -> float | None:
        """When the connection is to be taken for dead. None: no answer is due."""
        if self._due_since is None:
            return None
        return max(self._due_since, self._heard_at) + STALE_SECONDS

    @property
    def cluster_at(self) -> float | None:
        """When a fragment that waits may be begun. None: none waits."""
        current = self._current
        if current is not None and (not current.complete or self._blocks < len(current.blocks)):
            return None
        if self._queue.after(self._sequence) is None:
            return None
        return self.last_cluster_at + CLUSTER_SPACING_SECONDS
