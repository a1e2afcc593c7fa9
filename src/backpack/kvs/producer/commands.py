"""Say what the producer asks of whoever drives it, and what it was asked to be."""

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
from backpack.kvs.producer.cutter import DEFAULT_FRAGMENT_SECONDS
from backpack.kvs.producer.fragments import (
    DEFAULT_BUFFER_BYTES,
    DEFAULT_BUFFER_SECONDS,
    QueueCounters,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack.kvs.calls import Request

__all__ = [
    "Call",
    "Close",
    "Command",
    "EndBody",
    "Open",
    "ProducerSettings",
    "ProducerState",
    "ProducerStatus",
    "Send",
]

DEFAULT_RETENTION_HOURS = 24


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

    @property
    def control_endpoint(self) -> str:
        """Tell where the control plane answers."""
        return self.endpoint or control_endpoint(self.region)

    def validate(self) -> None:
        """
        Refuse what AWS would refuse. The producer itself looks at the rest.

        Raises:
            SettingsError: Which setting, and what is allowed.

        """
        check_region(self.region)
        check_stream_name(self.stream_name)
        check_retention_hours(self.retention_hours)
        check_endpoint(self.control_endpoint, region=self.region, configured=self.endpoint)


@dataclass(frozen=True)
class ProducerStatus:
    """
    What the producer can say of itself, for states and numbers.

    Attributes:
        state: Where it is.
        trouble: What keeps it from sending, and what helps. Empty: nothing.
        buffered_seconds: Video that is not persisted yet.
        buffered_bytes: The same in bytes.
        buffered_frames: The same in frames.
        last_fragment: KVS's number of the last fragment that was persisted.
        last_fragment_age_seconds: How long ago that was. None: never.
        fragments_resent: Fragments that were sent more than once.
        frames_lost: Frames that no fragment could take.
        queue: What has become of the others.
        reconnects: How often a connection was given up, by cause.

    """

    state: ProducerState
    trouble: str = ""
    buffered_seconds: float = 0.0
    buffered_bytes: int = 0
    buffered_frames: int = 0
    last_fragment: str = ""
    last_fragment_age_seconds: float | None = None
    fragments_resent: int = 0
    frames_lost: int = 0
    queue: QueueCounters = field(default_factory=QueueCounters)
    reconnects: Mapping[str, int] = field(default_factory=Counter)
