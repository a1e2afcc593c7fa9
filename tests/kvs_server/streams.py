"""Keep what was sent, stream by stream, and judge it as a player would see it."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.kvs_server.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kvs_server.ebml import Block, TrackInfo

__all__ = ["Fragment", "Session", "Stream", "Streams"]

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}")

CALLS_A_SECOND = 5
"""DescribeStream, GetDataEndpoint and PutMedia, for one stream."""


@dataclass
class Fragment:
    """
    One fragment as it was taken.

    Attributes:
        number: What the acknowledgements call it.
        timecode: Milliseconds since the epoch.
        session: Which connection brought it.
        tracks: Of the connection's header.
        metadata: Names and values that stood before it.
        blocks: Its frames.
        state: begun, received, persisted, broken or refused.

    """

    number: str
    timecode: int
    session: int
    tracks: dict[int, TrackInfo]
    metadata: list[tuple[str, str]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    state: str = "begun"
    size: int = 0

    @property
    def end(self) -> int:
        """Tell the time of its last frame."""
        return self.timecode + max((block.relative for block in self.blocks), default=0)


@dataclass
class Session:
    """
    One connection.

    Attributes:
        number: Counts connections of the server.
        opened: Monotonic seconds.
        start_timestamp: Seconds and milliseconds of the header.
        closed: Monotonic seconds, None while it is open.
        ended: Whether its body was ended as it should.
        said_end: Whether an end-of-fragment tag was the last thing in it.
        segment_uid: Of its header.
        body: All of it, chunking removed.
        header: Its part before the first cluster.
        acks: What was answered, in order.
        error: The identifier of the error that ended it, or its name if it has none.

    """

    number: int
    opened: float
    start_timestamp: tuple[int, int]
    closed: float | None = None
    ended: bool = False
    said_end: bool = False
    segment_uid: bytes = b""
    body: bytearray = field(default_factory=bytearray, repr=False)
    header: bytes = b""
    acks: list[dict[str, object]] = field(default_factory=list, repr=False)
    error: int | str | None = None


class Stream:
    """
    One stream. Any thread; `changed` guards everything in it.

    Args:
        name: Of the stream.
        retention_hours: 0 keeps nothing.
        created: Seconds since the epoch.

    """

    def __init__(self, name: str, retention_hours: int, created: float) -> None:
        self.name = name
        self.retention_hours = retention_hours
        self.created = created
        self.status = "ACTIVE"
        self.media_type = "video/h264"
        # Fragments in the order in which they began.
        self.fragments: list[Fragment] = []
        self.sessions: list[Session] = []
        # What AWS may take, but no producer should do.
        self.complaints: list[str] = []
        self.changed = threading.Condition()
        # When the last fragments began, in monotonic seconds.
        self.begun: deque[float] = deque()
        self._calls: dict[str, deque[float]] = {}

    @property
    def arn(self) -> str:
        """Name it as AWS does; the account is that of AWS's documentation."""
        return f"arn:aws:kinesisvideo:us-east-1:123456789012:stream/{self.name}/{self.created:.0f}"

    def describe(self) -> dict[str, object]:
        """Give what DescribeStream answers."""
        return {
            "StreamName": self.name,
            "StreamARN": self.arn,
            "DeviceName": None,
            "MediaType": self.media_type,
            "KmsKeyId": "arn:aws:kms:us-east-1:123456789012:alias/aws/kinesisvideo",
            "Version": "a1b2c3d4",
            "Status": self.status,
            "CreationTime": self.created,
            "DataRetentionInHours": self.retention_hours,
        }

    def note(self, call: str, now: float) -> None:
        """Count a call, and refuse the sixth within a second."""
        with self.changed:
            calls = self._calls.setdefault(call, deque(maxlen=CALLS_A_SECOND))
            if len(calls) == CALLS_A_SECOND and now - calls[0] < 1.0:
                raise Refused(400, "ClientLimitExceeded", f"More than 5 {call} in a second.")
            calls.append(now)

    def complain(self, text: str) -> None:
        """Note what AWS may take, but no producer should do."""
        with self.changed:
            self.complaints.append(text)

    def timeline(self) -> list[Fragment]:
        """
        Give what is played back: persisted fragments by time.

        Of two with the same time the newer one replaces the older.
        """
        with self.changed:
            kept = [one for one in self.fragments if one.state == "persisted"]
        newest = {one.timecode: one for one in kept}
        return [newest[timecode] for timecode in sorted(newest)]

    def overlaps(self) -> list[tuple[int, int]]:
        """List neighbours in the timeline of which the second begins before the first ends."""
        line = self.timeline()
        return [
            (one.timecode, two.timecode)
            for one, two in itertools.pairwise(line)
            if two.timecode <= one.end
        ]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 20.0) -> bool:
        """Wait until something holds of this stream."""
        with self.changed:
            return self.changed.wait_for(condition, seconds)

    def persisted(self) -> int:
        """Count fragments that were persisted, repetitions included."""
        return sum(one.state == "persisted" for one in self.fragments)


class Streams:
    """
    All streams of a server. Any thread.

    Args:
        clock: Seconds since the epoch.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: dict[str, Stream] = {}
        # How long a stream that was created is not active yet, in seconds.
        self.creating_seconds = 0.0

    def add(self, name: str, retention_hours: int = 24) -> Stream:
        """Make a stream that is there from now on."""
        stream = Stream(name, retention_hours, self._clock())
        with self._lock:
            self._streams[name] = stream
        return stream

    def create(self, content: dict[str, object]) -> Stream:
        """Do what CreateStream does."""
        name, hours = content.get("StreamName"), content.get("DataRetentionInHours", 0)
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refused(400, "InvalidArgument", f"StreamName {name!r}")
        if not isinstance(hours, int) or isinstance(hours, bool) or not 0 <= hours <= 87_600:
            raise Refused(400, "InvalidArgument", f"DataRetentionInHours {hours!r}")
        unknown = set(content) - {
            "StreamName", "DataRetentionInHours", "MediaType", "DeviceName", "KmsKeyId", "Tags"
        }  # fmt: skip
        if unknown:
            raise Refused(400, "InvalidArgument", f"Unknown {sorted(unknown)}")
        with self._lock:
            if name in self._streams:
                raise Refused(400, "ResourceInUse", f"The stream {name} already exists.")
            stream = self._streams[name] = Stream(name, hours, self._clock())
        stream.media_type = str(content.get("MediaType", ""))
        if self.creating_seconds:
            stream.status = "CREATING"
        return stream

    def find(self, content: dict[str, object]) -> Stream:
        """Find a stream by exactly one of its name and its ARN."""
        names = [key for key in ("StreamName", "StreamARN") if content.get(key) is not None]
        if len(names) != 1:
            raise Refused(400, "InvalidArgument", "Either StreamName or StreamARN.")
        value = content[names[0]]
        if names[0] == "StreamName" and (not isinstance(value, str) or not _NAME.fullmatch(value)):
            raise Refused(400, "InvalidArgument", f"StreamName {value!r}")
        with self._lock:
            for stream in self._streams.values():
                if value in (stream.name, stream.arn):
                    self._grow_up(stream)
                    return stream
        raise Refused(404, "ResourceNotFound", f"The requested stream {value} is not found.")

    def _grow_up(self, stream: Stream) -> None:
        created = self._clock() - stream.created
        if stream.status == "CREATING" and created >= self.creating_seconds:
            stream.status = "ACTIVE"

    def __getitem__(self, name: str) -> Stream:
        with self._lock:
            return self._streams[name]

    def __contains__(self, name: str) -> bool:
        with self._lock:
            return name in self._streams
