"""Keep account of the pictures that kvssink was given: which have arrived, and which are lost."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MILLISECOND_NS = 1_000_000

_SENT_AGAIN = frozenset({4000, 4003, 5000, 5001})
"""Errors (ErrorId of the acknowledgement) after which its SDK sends the fragment again."""


@dataclass
class _Cluster:
    """A fragment that kvssink makes of what it was given."""

    begin_ms: int
    frames: int = 0
    announced: bool = False
    received: bool = False


class Pending:
    """
    Know what one child was given and has not delivered.

    kvssink's acknowledgements name fragments by the time of their first frame;
    which frames are in one follows from its own rule: a fragment begins at the
    first key frame that is at least so long after the beginning of the last one.

    Reads no clock; not thread-safe.

    Args:
        fragment_seconds: How long.
        buffer_seconds: What is older than that kvssink has given up.
        keeps: Whether the stream persists anything, as far as known; received is enough
            otherwise. kvssink does not tell: it is learned from what is persisted.

    """

    def __init__(self, fragment_seconds: float, buffer_seconds: float, *, keeps: bool) -> None:
        self._fragment_ms = round(fragment_seconds * 1000)
        self._buffer_ms = round(buffer_seconds * 1000)
        self._keeps = keeps
        self._clusters: deque[_Cluster] = deque()
        # Begin of the last cluster, delivered or not.
        self._begin_ms: int | None = None

    def add(self, wall_ns: int, *, key: bool) -> int:
        """Note a picture, and tell how many were given up for it."""
        now_ms = wall_ns // _MILLISECOND_NS
        if self._begin_ms is None or (key and now_ms - self._begin_ms >= self._fragment_ms):
            self._begin_ms = now_ms
            self._clusters.append(_Cluster(now_ms))
        elif not self._clusters:
            # Its fragment has been delivered already: kvssink closes one after a silence.
            self._clusters.append(_Cluster(self._begin_ms))
        self._clusters[-1].frames += 1
        lost = 0
        while len(self._clusters) > 1 and now_ms - self._clusters[1].begin_ms > self._buffer_ms:
            gone = self._clusters.popleft()
            lost += 0 if gone.received else gone.frames
        return lost

    def announced(self, timecode_ms: int) -> bool:
        """Note that a fragment has begun to arrive, and tell whether it had before."""
        for cluster in self._clusters:
            if cluster.begin_ms == timecode_ms:
                before, cluster.announced = cluster.announced, True
                return before
        return False

    def received(self, timecode_ms: int) -> list[int]:
        """Note that a fragment has arrived; as `persisted` where nothing is kept."""
        if not self._keeps:
            return self._delivered(timecode_ms)
        for cluster in self._clusters:
            cluster.received = cluster.received or cluster.begin_ms <= timecode_ms
        return []

    def persisted(self, timecode_ms: int) -> list[int]:
        """Note that this fragment, and so all before it, are kept; give the pictures of each."""
        self._keeps = True
        return self._delivered(timecode_ms)

    def _delivered(self, timecode_ms: int) -> list[int]:
        delivered = []
        while self._clusters and self._clusters[0].begin_ms <= timecode_ms:
            delivered.append(self._clusters.popleft().frames)
        return delivered

    @property
    def frames(self) -> int:
        """How many pictures are not delivered."""
        return sum(cluster.frames for cluster in self._clusters)

    @property
    def oldest_ns(self) -> int | None:
        """The time of the oldest of them, if there are any."""
        return self._clusters[0].begin_ms * _MILLISECOND_NS if self._clusters else None


@dataclass(frozen=True)
class Deadline:
    """
    Know how long an end may take.

    Attributes:
        began_at: Monotonic seconds.
        seconds: How long, counted anew from each delivery.
        longest_seconds: How long at the most.

    """

    began_at: float
    seconds: float
    longest_seconds: float

    def over_at(self, delivered_at: float | None) -> float:
        """Return when it must be over, by when something was delivered last."""
        since = max(self.began_at, delivered_at or 0.0)
        return min(self.began_at + self.longest_seconds, since + self.seconds)


class DeliveryLog:
    """Add up what all children of an output have done. Reads no clock; not thread-safe."""

    def __init__(self) -> None:
        self.frames_taken = 0
        self.frames_persisted = 0
        self.frames_lost = 0
        self.fragments_sent = 0
        self.fragments_resent = 0
        self.fragments_persisted = 0
        self.fragments_skipped = 0
        self.reconnects: Counter[str] = Counter()
        self.last_fragment = ""
        self.latency_seconds: float | None = None
        # Monotonic seconds of the last delivery. None: there was none.
        self.delivered_at: float | None = None
        # Of the SDK itself.
        self.metrics: dict[str, Any] = {}

    def hear(self, ack: Mapping[str, Any], pending: Pending, *, now: float, wall: float) -> bool:
        """
        Take an acknowledgement.

        Args:
            ack: See `Ack`.
            pending: Of the child that it came to.
            now: Monotonic seconds.
            wall: Seconds since the epoch.

        Returns:
            Whether something was delivered.

        """
        kind, timecode_ms = ack["kind"], int(ack["timecode_ms"])
        delivered: list[int] = []
        if kind == "buffering":
            self.fragments_sent += 1
            self.fragments_resent += pending.announced(timecode_ms)
        elif kind == "received":
            delivered = pending.received(timecode_ms)
        elif kind == "persisted":
            delivered = pending.persisted(timecode_ms)
        elif kind == "error" and ack["status"] not in _SENT_AGAIN:
            self.fragments_skipped += 1
        if delivered:
            self.fragments_persisted += len(delivered)
            self.frames_persisted += sum(delivered)
            self.last_fragment = str(ack["fragment"])
            self.latency_seconds = wall - timecode_ms / 1000
            self.delivered_at = now
        return bool(delivered)

    def numbers(self, now: float) -> dict[str, Any]:
        """Return what there is to tell; under ``counters`` what only grows."""
        age = None if self.delivered_at is None else now - self.delivered_at
        return {
            "last_fragment": self.last_fragment,
            "last_fragment_age_seconds": age,
            "latency_seconds": self.latency_seconds,
            "kvssink": dict(self.metrics),
            "counters": {
                "frames_taken": self.frames_taken,
                "frames_persisted": self.frames_persisted,
                "frames_lost": self.frames_lost,
                "fragments_sent": self.fragments_sent,
                "fragments_resent": self.fragments_resent,
                "fragments_persisted": self.fragments_persisted,
                "fragments_skipped": self.fragments_skipped,
                "reconnects": dict(self.reconnects),
            },
        }
