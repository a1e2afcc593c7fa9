"""Hold fragments against the rules of Kinesis Video Streams."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.kvs_server.ebml import (
    Block,
    ClusterBegun,
    EndOfFragment,
    Metadata,
    MkvError,
    MkvReader,
    Tracks,
)
from tests.kvs_server.streams import Fragment

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kvs_server.ebml import Event, TrackInfo
    from tests.kvs_server.streams import Session, Stream

__all__ = ["FragmentRules", "Violation"]

LONGEST_MS = 20_000
SHORTEST_MS = 1_000
LARGEST_BYTES = 50 * 1000 * 1000
MOST_TAGS = 10
FRAGMENTS_A_SECOND = 5

_IDR = 5
_SPS_AND_PPS = {7, 8}


class Violation(Exception):  # noqa: N818 - the service's own word would be ERROR
    """
    A fragment is refused.

    Args:
        error_id: What the acknowledgement says. None: the documentation gives no number.
        code: The same as a name.
        text: Why.

    """

    def __init__(self, error_id: int | None, code: str, text: str) -> None:
        super().__init__(f"{error_id or ''} {code}: {text}".strip())
        self.error_id = error_id
        self.code = code


class FragmentRules:
    """
    Cut one connection's body into fragments and refuse what KVS would refuse.

    Args:
        stream: Where fragments go.
        session: The connection.
        absolute: Whether times are counted from the epoch.
        next_number: Gives fragments their numbers.
        on_begun: Told that a fragment has begun.
        on_block: Told after each frame, with how many the fragment has.
        on_complete: Told that a fragment is complete.
        clock: Monotonic seconds.

    """

    def __init__(
        self,
        stream: Stream,
        session: Session,
        *,
        absolute: bool,
        next_number: Callable[[], str],
        on_begun: Callable[[Fragment], None],
        on_block: Callable[[Fragment], None],
        on_complete: Callable[[Fragment], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._session = session
        self._absolute = absolute
        self._next_number = next_number
        self._on_begun = on_begun
        self._on_block = on_block
        self._on_complete = on_complete
        self._clock = clock
        self._reader = MkvReader()
        self._tracks: dict[int, TrackInfo] = {}
        self._metadata: list[tuple[str, str]] = []
        self._last_timecode = -1
        self._last_frame = -1
        # Whether a tag has ended the last fragment: then nothing says how long it was.
        self._said_end = False
        # The one that is being taken.
        self.fragment: Fragment | None = None

    def feed(self, data: bytes) -> None:
        """
        Take a part of the body.

        Raises:
            Violation: What it says is refused.

        """
        try:
            events = self._reader.feed(data)
        except MkvError as error:
            raise Violation(4006, "INVALID_MKV_DATA", str(error)) from error
        for event in events:
            self._take(event)

    def end(self) -> None:
        """Hear that the body was ended: that completes the last fragment, too."""
        if self._reader.inside and self.fragment is None:
            raise Violation(4006, "INVALID_MKV_DATA", "the body ends inside of an element")
        self._complete()

    def _take(self, event: Event) -> None:
        self._session.said_end = isinstance(event, EndOfFragment)
        if isinstance(event, Block):
            self._block(event)
        elif isinstance(event, ClusterBegun):
            self._check_length(event.timecode)
            self._complete()
            self._begin(event.timecode)
        elif isinstance(event, Metadata):
            self._complete()
            self._tag(event.pairs)
        elif isinstance(event, EndOfFragment):
            self._said_end = True
            self._complete()
        elif isinstance(event, Tracks):
            self._header(event)

    def _header(self, event: Tracks) -> None:
        self._tracks = event.tracks
        self._session.segment_uid = event.segment_uid
        self._session.header = event.header
        for track in event.tracks.values():
            if track.kind == 1 and track.codec != "V_MPEG4/ISO/AVC":
                self._stream.complain(f"codec {track.codec}")
            elif track.kind == 1 and _broken_avcc(track.codec_private):
                self._stream.complain(f"CodecPrivate: {_broken_avcc(track.codec_private)}")

    def _tag(self, pairs: list[tuple[str, str]]) -> None:
        self._metadata += pairs
        if len(self._metadata) > MOST_TAGS:
            raise Violation(4009, "FRAGMENT_METADATA_LIMIT_REACHED", f"{len(self._metadata)} tags")
        for name, value in pairs:
            if not 0 < len(name.encode()) <= 128 or len(value.encode()) > 256:
                raise Violation(4009, "FRAGMENT_METADATA_LIMIT_REACHED", f"tag {name!r}")
            if name.upper().startswith("AWS") and not name.startswith("AWS_KINESISVIDEO_"):
                self._stream.complain(f"metadata name {name!r} is reserved")

    def _begin(self, timecode: int) -> None:
        if timecode <= self._last_timecode:
            text = f"{timecode} after {self._last_timecode}"
            raise Violation(4004, "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS", text)
        if timecode <= self._last_frame:
            self._stream.complain(f"fragment {timecode} begins before {self._last_frame}")
        if self._absolute and abs(timecode / 1000 - self._session.start_timestamp[0]) > 86_400:
            self._stream.complain(f"fragment {timecode} is a day from the start timestamp")
        self._count(self._clock())
        self._last_timecode = timecode
        self._said_end = False
        self.fragment = Fragment(
            number=self._next_number(),
            timecode=timecode,
            session=self._session.number,
            tracks=self._tracks,
            metadata=self._metadata,
        )
        self._metadata = []
        with self._stream.changed:
            self._stream.fragments.append(self.fragment)
        self._on_begun(self.fragment)

    def _check_length(self, timecode: int) -> None:
        """Refuse a fragment that the next one shows to have been too short."""
        length = timecode - self._last_timecode
        if self._last_timecode >= 0 and not self._said_end and 0 < length < SHORTEST_MS:
            raise Violation(None, "MIN_FRAGMENT_DURATION_REACHED", f"{length} ms")

    def _count(self, now: float) -> None:
        """
        Complain of a sixth fragment within a second, whichever connection brings it.

        No refusal: the documentation names none. And what was sent with a quarter of a
        second in between may be read at once.
        """
        begun = self._stream.begun
        begun.append(now)
        if len(begun) > FRAGMENTS_A_SECOND and now - begun.popleft() < 1.0:
            self._stream.complain(f"more than {FRAGMENTS_A_SECOND} fragments in a second")

    def _block(self, block: Block) -> None:
        fragment = self.fragment
        if fragment is None:
            raise Violation(4006, "INVALID_MKV_DATA", "a block outside of any cluster")
        if block.track not in self._tracks:
            raise Violation(4010, "TRACK_NUMBER_MISMATCH", f"track {block.track}")
        video = self._tracks[block.track].kind == 1
        first = not any(one.track == block.track for one in fragment.blocks)
        if video and first and not block.key:
            raise Violation(4006, "INVALID_MKV_DATA", "a fragment begins without a key frame")
        self._check_time(fragment, block)
        if video:
            self._check_frame(block)
        with self._stream.changed:
            fragment.blocks.append(block)
            fragment.size += len(block.payload)
        if fragment.size > LARGEST_BYTES:
            raise Violation(4001, "MAX_FRAGMENT_SIZE_REACHED", f"{fragment.size} bytes")
        self._on_block(fragment)

    def _check_time(self, fragment: Fragment, block: Block) -> None:
        if block.relative < 0:
            raise Violation(4006, "INVALID_MKV_DATA", f"a block {block.relative} ms from it")
        if block.relative > LONGEST_MS:
            raise Violation(4002, "MAX_FRAGMENT_DURATION_REACHED", f"{block.relative} ms")
        before = [one.relative for one in fragment.blocks if one.track == block.track]
        if before and block.relative <= before[-1]:
            self._stream.complain(f"frame at {block.relative} ms after one at {before[-1]} ms")
        self._last_frame = max(self._last_frame, fragment.timecode + block.relative)

    def _check_frame(self, block: Block) -> None:
        """KVS looks at no frame, but players do."""
        types, at = [], 0
        while at + 4 <= len(block.payload):
            size = int.from_bytes(block.payload[at : at + 4], "big")
            if size == 0 or at + 4 + size > len(block.payload):
                break
            types.append(block.payload[at + 4] & 31)
            at += 4 + size
        if at != len(block.payload) or not types:
            self._stream.complain("a frame is not made of NAL units with their lengths")
        elif block.key != (_IDR in types):
            self._stream.complain(f"a frame with NAL units {types} has key={block.key}")

    def _complete(self) -> None:
        fragment, self.fragment = self.fragment, None
        if fragment is None:
            return
        missing = set(fragment.tracks) - {block.track for block in fragment.blocks}
        if missing:
            self.fragment = fragment
            raise Violation(4011, "FRAMES_MISSING_FOR_TRACK", f"tracks {sorted(missing)}")
        self._on_complete(fragment)


def _broken_avcc(data: bytes) -> str:
    """Say what is wrong with a decoder configuration (ISO/IEC 14496-15, 5.3.3.1), if anything."""
    if len(data) < 7 or data[0] != 1 or data[4] & 3 != 3:
        return f"{data[:7].hex()} begins none with lengths of four bytes"
    types, at = [], 6
    for count in (data[5] & 31, None):
        if count is None:
            if at >= len(data):
                return "it ends before the picture parameter sets"
            count, at = data[at], at + 1  # noqa: PLW2901
        for _ in range(count):
            size = int.from_bytes(data[at : at + 2], "big")
            unit = data[at + 2 : at + 2 + size]
            if len(unit) != size or not unit:
                return "a parameter set is cut off"
            types.append(unit[0] & 31)
            at += 2 + size
    return "" if set(types) == _SPS_AND_PPS else f"it holds NAL units {types}"
