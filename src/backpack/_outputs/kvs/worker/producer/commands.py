"""What the producer asks of whoever drives it, and what it tells of itself."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack._outputs.kvs.shared.api import Request
    from backpack._outputs.kvs.worker.producer.journal import JournalNumbers


@dataclass(frozen=True)
class Call:
    """Have the request signed, send it, and tell `Producer.answered`."""

    request: Request
    # Have the credentials renewed before: these were refused.
    renew: bool = False


@dataclass(frozen=True)
class Open:
    """Have the request signed, connect, send its head, and tell `Producer.answered`."""

    request: Request
    renew: bool = False


@dataclass(frozen=True)
class Send:
    """Send this as one chunk of the body."""

    data: bytes


@dataclass(frozen=True)
class EndBody:
    """Send the last chunk, and go on reading answers."""


@dataclass(frozen=True)
class Close:
    """Close the connection, whatever it is at, and tell nothing of it any more."""


Command: TypeAlias = Call | Open | Send | EndBody | Close


class ProducerState(enum.Enum):
    """Where the producer is."""

    IDLE = enum.auto()
    """No connection: nothing to send, or waiting before the next try."""
    CALLING = enum.auto()
    """An answer of the control plane is due."""
    OPENING = enum.auto()
    """The service has not taken the connection yet."""
    STREAMING = enum.auto()
    """Connected."""
    DRAINING = enum.auto()
    """Everything is sent, the last answers are to come."""
    STOPPED = enum.auto()
    """Over, as asked for."""
    FAILED = enum.auto()
    """Over, since AWS would refuse it again."""

    @property
    def is_awaiting(self) -> bool:
        """Whether a signature or an answer is due."""
        return self in (ProducerState.CALLING, ProducerState.OPENING)

    @property
    def is_connected(self) -> bool:
        """Whether the service has taken a connection, which is not over."""
        return self in (ProducerState.STREAMING, ProducerState.DRAINING)

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self in (ProducerState.STOPPED, ProducerState.FAILED)


@dataclass
class QueueCounters:
    """
    What has become of what was taken, in fragments and frames.

    Attributes:
        frames_taken: Frames that joined a fragment.
        fragments_recovered: Taken over from processes that are gone.
        frames_recovered: The frames in them; they are no part of those taken.
        fragments_persisted: Freed, since KVS has them.
        frames_persisted: The frames in them.
        fragments_dropped: Gone since there was no room.
        frames_dropped: The frames in them.
        fragments_skipped: Given up, since KVS refused them.
        frames_skipped: The frames in them.

    """

    frames_taken: int = 0
    fragments_recovered: int = 0
    frames_recovered: int = 0
    fragments_persisted: int = 0
    frames_persisted: int = 0
    fragments_dropped: int = 0
    frames_dropped: int = 0
    fragments_skipped: int = 0
    frames_skipped: int = 0


@dataclass(frozen=True)
class ProducerStatus:
    """
    What the producer can say of itself, for states and numbers.

    Attributes:
        state: Where it is.
        trouble: What keeps it from sending, and what helps. Empty: nothing.
        mending: Whether that is something that somebody has to mend: it is tried
            again all the same, but less often.
        connected_seconds: How long the present connection has been taken. None: there
            is none.
        buffered_seconds: Video that is not persisted yet.
        buffered_bytes: The same in bytes.
        buffered_frames: The same in frames.
        last_fragment: KVS's number of the last fragment that was persisted.
        last_fragment_age_seconds: How long ago that was. None: never.
        latency_seconds: How long the first frame of the newest fragment that
            was persisted took to get there, from its capture. None: no fragment of
            this process was.
        fragments_sent: Times that a fragment was begun to be sent.
        fragments_resent: Those of them in which it was not the first time.
        frames_lost: Frames that no fragment could take.
        queue: What has become of the others.
        reconnects: How often a connection was given up, by cause.
        journal: What is on disk. None: nothing is kept there.

    """

    state: ProducerState
    trouble: str = ""
    mending: bool = False
    connected_seconds: float | None = None
    buffered_seconds: float = 0.0
    buffered_bytes: int = 0
    buffered_frames: int = 0
    last_fragment: str = ""
    last_fragment_age_seconds: float | None = None
    latency_seconds: float | None = None
    fragments_sent: int = 0
    fragments_resent: int = 0
    frames_lost: int = 0
    queue: QueueCounters = field(default_factory=QueueCounters)
    reconnects: Mapping[str, int] = field(default_factory=Counter)
    journal: JournalNumbers | None = None

    @property
    def frames_stored(self) -> int:
        """How many of the frames that wait are on disk, and so outlive the process."""
        return 0 if self.journal is None else self.journal.frames_stored

    @property
    def frames_unstored(self) -> int:
        """How many of the frames that wait are lost if the producer ends now."""
        return self.buffered_frames - self.frames_stored
