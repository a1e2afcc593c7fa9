"""Decide where fragments begin, and which time each frame carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._outputs.kvs.settings import DEFAULT_FRAGMENT_SECONDS
from backpack._outputs.kvs.shared.limits import (
    SHORTEST_FRAGMENT_SECONDS,
    check_fragment_seconds,
    check_metadata,
)
from backpack._outputs.kvs.worker.producer.fragments import Fragment
from backpack._outputs.kvs.worker.producer.matroska import (
    Track,
    frame_payload,
    metadata_tags,
    simple_block,
    track_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack._media.access_unit import AccessUnit
    from backpack._outputs.kvs.worker.producer.fragments import FragmentQueue

LONGEST_FRAGMENT_MS = 10_000
LARGE_FRAGMENT_BYTES = 16 * 1024 * 1024
"""From here on any key frame begins a new fragment."""
LARGEST_FRAGMENT_BYTES = 48 * 1024 * 1024
"""KVS takes 50 MB."""

STEP_NS = 500_000_000
"""A date that moves this far against the monotonic clock has stepped."""

_SECOND_NS = 1_000_000_000
_MILLISECOND_NS = 1_000_000


class ClusterRule:
    """
    Begin a cluster at the first key frame at least ``fragment_seconds`` after the last one.

    New viewers at other outputs cause key frames of their own; they do not make
    fragments shorter.

    Args:
        fragment_seconds: How long a fragment is at least.

    """

    def __init__(self, fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS) -> None:
        self._distance_ns = round(check_fragment_seconds(fragment_seconds) * _SECOND_NS)

    def due(self, fragment: Fragment, pts_ns: int) -> bool:
        """Return whether the next key frame begins a new fragment."""
        # A full buffer closes fragments, too.
        return (
            fragment.complete
            or pts_ns - fragment.begin_ns >= self._distance_ns
            or fragment.size >= LARGE_FRAGMENT_BYTES
        )

    def shorten(self) -> None:
        """Make fragments half as long, down to what KVS allows."""
        self._distance_ns = max(self._distance_ns // 2, round(SHORTEST_FRAGMENT_SECONDS * 1e9))


class WallTime:
    """
    Dates of frames, which never run backward within a timeline.

    The date of a frame is the stream's own (`AccessUnit.wall_ns`). Where it
    moves against the monotonic clock, which is when the wall clock steps or a
    recording begins anew, frames go on as before until the next key frame
    takes the new dates.
    """

    def __init__(self) -> None:
        # wall - monotonic. None until the first frame.
        self._anchor_ns: int | None = None
        self._epoch = 0
        self._last_ms = -1

    def moved_ms(self, unit: AccessUnit) -> int:
        """Return how far the dates have moved since the last anchor; small drifts are none."""
        if self._anchor_ns is None:
            return 0
        moved_ns = unit.wall_ns - unit.pts_ns - self._anchor_ns
        return round(moved_ns / _MILLISECOND_NS) if abs(moved_ns) > STEP_NS else 0

    def stepped(self, unit: AccessUnit) -> bool:
        """Return whether it was the machine's clock that moved, and not what is shown."""
        return self._anchor_ns is not None and unit.epoch != self._epoch

    def anchor(self, unit: AccessUnit) -> None:
        """Take a key frame's date for the right one."""
        self._anchor_ns = unit.wall_ns - unit.pts_ns
        self._epoch = unit.epoch

    def behind(self, unit: AccessUnit) -> bool:
        """Return whether a frame's own date is not later than that of the frame before."""
        return unit.wall_ns // _MILLISECOND_NS <= self._last_ms

    def milliseconds(self, unit: AccessUnit) -> int:
        """Return a frame's date, later than that of the frame before."""
        if self._anchor_ns is None:
            self.anchor(unit)
        wall_ns = unit.wall_ns
        if self.moved_ms(unit):
            wall_ns = unit.pts_ns + (self._anchor_ns or 0)
        # Cut and not rounded, as AWS's producer does. Two frames within one
        # millisecond must not share it: players drop one of them.
        self._last_ms = max(wall_ns // _MILLISECOND_NS, self._last_ms + 1)
        return self._last_ms

    def shift(self, step_ms: int) -> None:
        """Move the last date, since the fragment that holds it was moved."""
        self._last_ms += step_ms

    def forget(self) -> None:
        """Begin anew: what follows goes into another timeline."""
        self._last_ms = -1


class FragmentCutter:
    """
    Turn access units into fragments.

    Reads no clock. Not thread-safe: it belongs to the thread that drives the
    producer.

    Args:
        queue: Where the fragments go.
        fragment_seconds: See `ClusterRule`.
        metadata: Names and values that every fragment carries.

    """

    def __init__(
        self,
        queue: FragmentQueue,
        *,
        fragment_seconds: float = DEFAULT_FRAGMENT_SECONDS,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._queue = queue
        self._rule = ClusterRule(fragment_seconds)
        self._time = WallTime()
        self._track: Track | None = None
        self._sequence = 0
        self._timeline = 0
        # Of the last unit that was taken.
        self._last_pts_ns = 0
        self._tags = b""
        self._tags_refused = False
        self.set_metadata(metadata or {})
        # Frames that no fragment could take: they refer to something lost.
        self.frames_lost = 0

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """
        Let the fragments from the next one on carry these names and values.

        Raises:
            SettingsError: KVS would refuse them.

        """
        check_metadata(metadata)
        self._tags = b"" if self._tags_refused else metadata_tags(metadata)

    def refuse_metadata(self) -> None:
        """Carry none any more, whatever is set: KVS takes no more of it."""
        self._tags_refused = True
        self._tags = b""
        self._queue.strip_tags()

    def shorten(self) -> None:
        """Make fragments shorter from now on: KVS says that they are too long."""
        self._rule.shorten()

    @property
    def wants_key(self) -> bool:
        """Whether a key frame would begin a fragment now, and so should be asked for."""
        # Told at once, though the encoder's own key frame may be about to come.
        # Simulated at 30 fps, that makes 33 to 37 a minute out of the 30 that
        # are needed, mostly since the encoder measures its two seconds by
        # another clock and is a little early. Waiting for 1 to 3 frames leaves
        # 32 to 35, and makes every fragment longer by them.
        fragment = self._queue.open
        return fragment is None or self._rule.due(fragment, self._last_pts_ns)

    def recover(self) -> None:
        """Take what processes that are gone have left, to be sent before what comes from now on."""
        for fragment in self._queue.left():
            self._sequence += 1
            fragment.sequence = self._sequence
            self._queue.restore(fragment)

    def finish(self) -> None:
        """Complete the newest fragment: the source is silent, or the stream ends."""
        self._queue.complete()

    def take(self, unit: AccessUnit) -> bool:
        """
        Take one access unit.

        Returns:
            Whether it joined a fragment. False: it is a repeat, which was
            made for viewers, or it cannot be decoded without what is lost.

        """
        if unit.repeat:
            return False
        track = self._track_of(unit)
        fragment = self._queue.open
        if unit.key and track is not None and self._begins(fragment, unit, track):
            self._begin(unit, track)
            return True
        if fragment is not None and self._join(fragment, unit):
            return True
        self.frames_lost += 1
        return False

    def _track_of(self, unit: AccessUnit) -> Track | None:
        if not unit.key:
            return None
        try:
            return track_of(unit.data) or self._track
        except ValueError:
            # Broken parameter sets: without a header of its own it is like any other frame.
            return self._track

    def _begins(self, fragment: Fragment | None, unit: AccessUnit, track: Track) -> bool:
        return (
            fragment is None
            or track != self._track
            or self._time.stepped(unit)
            or self._time.moved_ms(unit) != 0
            or self._rule.due(fragment, unit.pts_ns)
        )

    def _begin(self, unit: AccessUnit, track: Track) -> None:
        self._renew_time(unit)
        # Between two fragments there is a place for what somebody leaves late.
        self.recover()
        self._track = track
        timecode_ms = self._time.milliseconds(unit)
        self._sequence += 1
        self._last_pts_ns = unit.pts_ns
        fragment = Fragment(
            sequence=self._sequence,
            timeline=self._timeline,
            timecode_ms=timecode_ms,
            track=track,
            begin_ns=unit.pts_ns,
            end_ns=unit.pts_ns,
            tags=self._tags,
        )
        self._queue.begin(fragment, simple_block(frame_payload(unit.data), 0, key=True))

    def _renew_time(self, unit: AccessUnit) -> None:
        """Take a key frame's date for the right one where dates have moved."""
        step_ms = self._time.moved_ms(unit)
        stepped = self._time.stepped(unit)
        if stepped and step_ms:
            # What waited for the connection was dated by a clock that was
            # wrong. It moves along, and shares the connection with what follows.
            moved = self._newest_is_unsent()
            self._queue.shift(step_ms, self._timeline, self._timeline + 1)
            self._timeline += 1
            if moved:
                self._time.shift(step_ms)
            else:
                self._time.forget()
        elif step_ms and self._time.behind(unit):
            # A recording began anew. Its dates are right, and lie in the past.
            self._timeline += 1
            self._time.forget()
        if stepped or step_ms:
            self._time.anchor(unit)

    def _newest_is_unsent(self) -> bool:
        newest = self._queue.newest
        return newest is not None and not newest.sent

    def _join(self, fragment: Fragment, unit: AccessUnit) -> bool:
        # Its date is given before it is refused: a frame that is refused closes
        # the fragment, and the next one begins with a key frame.
        relative_ms = self._time.milliseconds(unit) - fragment.timecode_ms
        too_long = relative_ms > LONGEST_FRAGMENT_MS
        if too_long or fragment.size + len(unit.data) > LARGEST_FRAGMENT_BYTES:
            self._queue.complete()
            return False
        self._last_pts_ns = unit.pts_ns
        payload = frame_payload(unit.data)
        self._queue.extend(simple_block(payload, relative_ms, key=unit.key), unit.pts_ns)
        return True
