"""
Say what the producer asks of whoever drives it, and what it was asked to be.

The application loads this, too: it describes a producer, and reads its numbers.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from backpack.kvs.names import (
    check_endpoint,
    check_region,
    check_retention_hours,
    check_stream_name,
    control_endpoint,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backpack.kvs.calls import Request
    from backpack.kvs.producer.journal import JournalNumbers

__all__ = [
    "Call",
    "Close",
    "Command",
    "EndBody",
    "Open",
    "ProducerSettings",
    "ProducerState",
    "ProducerStatus",
    "QueueCounters",
    "Send",
]

DEFAULT_RETENTION_HOURS = 24
DEFAULT_FRAGMENT_SECONDS = 2.0
DEFAULT_BUFFER_SECONDS = 120.0
DEFAULT_BUFFER_BYTES = 128 * 1024 * 1024


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
        """Tell whether a signature or an answer is due."""
        return self in (ProducerState.CALLING, ProducerState.OPENING)

    @property
    def is_connected(self) -> bool:
        """Tell whether the service has taken a connection, which is not over."""
        return self in (ProducerState.STREAMING, ProducerState.DRAINING)

    @property
    def is_over(self) -> bool:
        """Tell whether nothing follows."""
        return self in (ProducerState.STOPPED, ProducerState.FAILED)


@dataclass(frozen=True)
class ProducerSettings:
    """
    What a producer was asked to be.

    Attributes:
        region: Of the stream.
        stream_name: The stream.
        endpoint: What stands in for AWS's control plane. None: AWS's.
        create_stream: Create the stream if it does not exist.
        retention_hours: How long a stream that is created keeps its video.
        fragment_seconds: See `backpack.kvs.producer.cutter.ClusterRule`.
        buffer_seconds: See `backpack.kvs.producer.fragments.FragmentQueue`.
        buffer_bytes: See `backpack.kvs.producer.fragments.FragmentQueue`.
        metadata: Names and values that every fragment carries.
        hosts: AWS's in this region, see `backpack.kvs.endpoints`; the first one is
            called if no other endpoint is given.

    """

    region: str
    stream_name: str
    endpoint: str | None = None
    create_stream: bool = False
    retention_hours: int = DEFAULT_RETENTION_HOURS
    fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS
    buffer_seconds: float = DEFAULT_BUFFER_SECONDS
    buffer_bytes: int = DEFAULT_BUFFER_BYTES
    metadata: Mapping[str, str] = field(default_factory=dict)
    hosts: Sequence[str] = ()

    @property
    def control_endpoint(self) -> str:
        """Tell where the control plane answers."""
        if self.endpoint is not None or not self.hosts:
            return self.endpoint or control_endpoint(self.region)
        return f"https://{self.hosts[0]}"

    def check_endpoint(self, url: object) -> str:
        """
        Refuse an endpoint that no request of this stream may be signed for.

        Raises:
            SettingsError: See `backpack.kvs.names.check_endpoint`.

        """
        return check_endpoint(url, region=self.region, configured=self.endpoint, hosts=self.hosts)

    def validate(self) -> None:
        """
        Refuse what AWS would refuse. The producer itself looks at the rest.

        Raises:
            SettingsError: Which setting, and what is allowed.

        """
        check_region(self.region)
        check_stream_name(self.stream_name)
        check_retention_hours(self.retention_hours)
        self.check_endpoint(self.control_endpoint)


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
        """Tell how many of the frames that wait are on disk, and so outlive the process."""
        return 0 if self.journal is None else self.journal.frames_stored

    @property
    def frames_unstored(self) -> int:
        """Tell how many of the frames that wait are lost if the producer ends now."""
        return self.buffered_frames - self.frames_stored
