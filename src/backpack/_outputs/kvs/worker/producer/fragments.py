"""Keep fragments until they are persisted, and decide who goes when there is no room."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from backpack._outputs.kvs.settings import DEFAULT_BUFFER_BYTES, DEFAULT_BUFFER_SECONDS
from backpack._outputs.kvs.worker.producer.commands import QueueCounters
from backpack._outputs.kvs.worker.producer.matroska import cluster_start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backpack._outputs.kvs.worker.producer.matroska import Track

BLOCK_COST_BYTES = 64
"""What a block takes in memory beside its bytes: the object's head and its place in the list."""

_SECOND_NS = 1_000_000_000

LONGEST_GAP_NS = 10 * _SECOND_NS
"""Between two fragments; more is not counted as video that waits."""


@dataclass(eq=False)
class Fragment:
    """
    One cluster: a key frame and what follows up to the next cluster.

    Attributes:
        sequence: Grows from fragment to fragment; a sequence may be missing.
        timeline: Fragments of one timeline have growing times and may share a
            connection. Below 0: an earlier process has left it.
        timecode_ms: Time of the first frame since the epoch.
        track: What a connection's header has to say for it.
        begin_ns: Monotonic capture time of the first frame.
        end_ns: Monotonic capture time of the last frame.
        lead_ns: Time between the fragment before it and this one that counts as video.
        tags: Metadata, written out; stands before the cluster.
        blocks: The frames, written out.
        size: Bytes that it takes in memory.
        complete: Nothing will join it.
        sent: Some of it has gone into a connection.

    """

    sequence: int
    timeline: int
    timecode_ms: int
    track: Track
    begin_ns: int
    end_ns: int
    lead_ns: int = 0
    tags: bytes = b""
    blocks: list[bytes] = field(default_factory=list)
    size: int = 0
    complete: bool = False
    sent: bool = False

    @property
    def recovered(self) -> bool:
        """Whether an earlier process has left it."""
        return self.timeline < 0

    @property
    def video_ns(self) -> int:
        """How much video it is."""
        return self.lead_ns + self.end_ns - self.begin_ns

    def head(self) -> bytes:
        """Write what stands before the first block."""
        return self.tags + cluster_start(self.timecode_ms)

    def add(self, block: bytes, pts_ns: int) -> int:
        """Append a frame and tell by how much this grew."""
        self.blocks.append(block)
        self.end_ns = pts_ns
        cost = len(block) + BLOCK_COST_BYTES
        self.size += cost
        return cost


class FragmentStore(Protocol):
    """
    Keep what a queue holds in a second place: see `Journal`.

    None of this may raise an error.
    """

    def recover(self) -> Iterator[Fragment]:
        """Return whole fragments that processes which are gone have left."""

    def begin(self, fragment: Fragment) -> None:
        """Called with a new fragment, before its first frame."""

    def extend(self, fragment: Fragment, block: bytes, pts_ns: int) -> None:
        """Called when a frame joins it."""

    def complete(self, fragment: Fragment) -> None:
        """Called when nothing joins it any more."""

    def amend(self, fragment: Fragment) -> None:
        """Called when its time, timeline or tags have changed."""

    def remove(self, fragment: Fragment) -> None:
        """Called when it is gone."""


class FragmentQueue:
    """
    Hold fragments, oldest first, from their first frame until they are persisted.

    When it is full the oldest whole fragments go, and are counted: what is
    left can be decoded from its first frame. The one that is being sent stays
    (a cluster cannot be taken back), as does the newest, which still grows.

    Reads no clock. Not thread-safe: it belongs to the thread that drives the
    producer.

    Args:
        buffer_seconds: How much video may wait.
        buffer_bytes: How many bytes may wait.
        store: A second place for what waits. None: memory only.

    """

    def __init__(
        self,
        *,
        buffer_seconds: float = DEFAULT_BUFFER_SECONDS,
        buffer_bytes: int = DEFAULT_BUFFER_BYTES,
        store: FragmentStore | None = None,
    ) -> None:
        self._store = store
        self._longest_ns = round(buffer_seconds * _SECOND_NS)
        self._most_bytes = buffer_bytes
        self._fragments: deque[Fragment] = deque()
        self._size = 0
        self._video_ns = 0
        self.counters = QueueCounters()
        # The fragment that a connection is in the middle of.
        self.busy: Fragment | None = None

    def begin(self, fragment: Fragment, block: bytes) -> None:
        """Take a new fragment with its first frame. The one before it is complete now."""
        self._append(fragment)
        if self._store is not None:
            self._store.begin(fragment)
        self.extend(block, fragment.begin_ns)

    def extend(self, block: bytes, pts_ns: int) -> None:
        """
        Let a frame join the newest fragment, and make room if there is none.

        A fragment that alone is more than fits is complete then: see `open`.
        """
        newest = self._fragments[-1]
        self._video_ns += pts_ns - newest.end_ns
        self._size += newest.add(block, pts_ns)
        self.counters.frames_taken += 1
        if self._store is not None:
            self._store.extend(newest, block, pts_ns)
        self._make_room()

    def complete(self) -> None:
        """Say that nothing joins the newest fragment any more. Idempotent."""
        newest = self.open
        if newest is None:
            return
        newest.complete = True
        if self._store is not None:
            self._store.complete(newest)

    def left(self) -> Iterator[Fragment]:
        """Return what earlier processes have left in the store; each goes to `restore`."""
        return iter(()) if self._store is None else self._store.recover()

    def restore(self, fragment: Fragment) -> None:
        """Take a whole fragment that an earlier process has left, and make room if need be."""
        self._append(fragment)
        self._size += fragment.size
        self._video_ns += fragment.end_ns - fragment.begin_ns
        self.counters.fragments_recovered += 1
        self.counters.frames_recovered += len(fragment.blocks)
        self._make_room()

    def _append(self, fragment: Fragment) -> None:
        self.complete()
        if self._fragments:
            # A silent source is no video, however long it lasts. What was left
            # may be from before the machine was started, with another clock.
            gap_ns = fragment.begin_ns - self._fragments[-1].end_ns
            fragment.lead_ns = min(max(gap_ns, 0), LONGEST_GAP_NS)
        self._fragments.append(fragment)
        self._video_ns += fragment.lead_ns

    @property
    def newest(self) -> Fragment | None:
        """Which fragment came last."""
        return self._fragments[-1] if self._fragments else None

    @property
    def open(self) -> Fragment | None:
        """Which fragment still grows."""
        if self._fragments and not self._fragments[-1].complete:
            return self._fragments[-1]
        return None

    def free(self, sequence: int) -> Fragment | None:
        """
        Let everything up to a sequence go: it is persisted.

        Returns:
            The newest fragment that went. None: nothing was left of that.

        """
        freed = None
        while self._fragments and self._fragments[0].sequence <= sequence:
            freed = self._fragments.popleft()
            self._forget(freed)
            self.counters.fragments_persisted += 1
            self.counters.frames_persisted += len(freed.blocks)
        return freed

    def skip(self, fragment: Fragment) -> bool:
        """Return a fragment up, which KVS refuses. False: it is not here any more."""
        if fragment not in self._fragments:
            return False
        self._fragments.remove(fragment)
        self._forget(fragment)
        self.counters.fragments_skipped += 1
        self.counters.frames_skipped += len(fragment.blocks)
        return True

    def shift(self, step_ms: int, old_timeline: int, new_timeline: int) -> int:
        """
        Move what no connection has seen yet to where it belongs by the corrected clock.

        What was sent keeps its time: sent again it replaces itself.

        Returns:
            How many fragments were moved.

        """
        count = 0
        for fragment in self._fragments:
            if not fragment.sent and fragment.timeline == old_timeline:
                fragment.timecode_ms += step_ms
                fragment.timeline = new_timeline
                self._amend(fragment)
                count += 1
        return count

    def strip_tags(self) -> None:
        """Take the metadata off everything that waits."""
        for fragment in self._fragments:
            if fragment.tags:
                fragment.tags = b""
                self._amend(fragment)

    def _amend(self, fragment: Fragment) -> None:
        if self._store is not None:
            self._store.amend(fragment)

    def find(self, sequence: int) -> Fragment | None:
        """Return the fragment with a sequence. None: it is not here any more."""
        return next((one for one in self._fragments if one.sequence == sequence), None)

    def after(self, sequence: int) -> Fragment | None:
        """Return the first fragment that follows a sequence."""
        return next((one for one in self._fragments if one.sequence > sequence), None)

    def _make_room(self) -> None:
        while self._over():
            oldest = next((one for one in self._fragments if self._may_go(one)), None)
            if oldest is None:
                # One fragment is more than fits. What it has is worth
                # keeping; its owner sees that it is closed.
                self.complete()
                return
            self._fragments.remove(oldest)
            self._forget(oldest)
            self.counters.fragments_dropped += 1
            self.counters.frames_dropped += len(oldest.blocks)

    def _may_go(self, fragment: Fragment) -> bool:
        return fragment.complete and fragment is not self.busy

    def _forget(self, fragment: Fragment) -> None:
        self._size -= fragment.size
        self._video_ns -= fragment.video_ns
        if self._store is not None:
            self._store.remove(fragment)

    def _over(self) -> bool:
        return self._size > self._most_bytes or self._video_ns > self._longest_ns

    @property
    def seconds(self) -> float:
        """How much video waits."""
        return self._video_ns / _SECOND_NS

    @property
    def size(self) -> int:
        """How many bytes wait."""
        return self._size

    @property
    def frames(self) -> int:
        """How many frames wait."""
        return sum(len(one.blocks) for one in self._fragments)

    def __len__(self) -> int:
        return len(self._fragments)

    def __iter__(self) -> Iterator[Fragment]:
        return iter(self._fragments)
