"""Feeds a hub's access units to the pipeline of one RTSP media."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from backpack._gst.appsrc import AppsrcFeed, levels, push
from backpack._gst.gi import Gst
from backpack._media.h264 import read_sps
from backpack._media.nal import (
    AUD,
    PPS,
    SPS,
    decoder_configuration,
    nal_type,
    split_annex_b,
    with_lengths,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._media.access_unit import AccessUnit
    from backpack._media.hub import Hub

APPSRC = "feed"

LAUNCH = (
    "( "
    f"appsrc name={APPSRC} format=time is-live=true block=false do-timestamp=false max-bytes=0 "
    # Left alone, a live source reports how late its first buffer came as its
    # latency: sinks wait so long, and RTCP moves the capture times by it.
    "min-latency=0 "
    # No parser in between: it would announce one frame of latency to the sinks. No
    # parameter sets of its own: it would put them before every slice of a key frame, where
    # a decoder takes them for the beginning of another picture.
    "! rtph264pay name=pay0 pt=96 config-interval=0 aggregate-mode=zero-latency "
    ")"
)
"""What a mounted media is made of."""

WAITING_UNITS = 120
WAITING_BYTES = 16 * 1024 * 1024
WAITING_NS = 1_000_000_000
"""More than a second behind is not live any more: skip to a key frame."""

UNPLAYED_NS = 250_000_000
"""The same before the first PLAY: what has piled up arrives in one burst, and many
players stay as late as that burst was long."""

STARVED_NS = 5_000_000_000
"""A hub that gives no first picture for so long will give none."""

logger = logging.getLogger(__name__)


class MediaFeed:
    """
    The subscriber of a hub for one media, which all viewers of a mount share.

    Takes its place in the hub as soon as the media wants data, and leaves it
    when nobody watches. While the media stands still (its viewers are between
    DESCRIBE and PLAY, or cannot take more) at most a second is kept.

    The media's clock starts at zero on the monotonic clock (`use_monotonic_clock`), so a
    buffer's time is the capture time as it is.

    Args:
        hub: The stream.
        source: The media's appsrc.
        on_resized: Called, on the encoder's thread, when the size of the video
            becomes another one: the media has ended for its viewers.
        clock_ns: The monotonic clock.

    """

    takes_repeats = True

    def __init__(
        self,
        hub: Hub,
        source: GstApp.AppSrc,
        on_resized: Callable[[], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._hub = hub
        self._on_resized = on_resized
        self._clock_ns = clock_ns
        # Guards everything below. Never held while calling the hub or GStreamer.
        self._lock = threading.Lock()
        # None once closed: the media's end must break the cycle between its
        # appsrc, the signal's closure and us, which Python's collector cannot see.
        self._source: GstApp.AppSrc | None = source
        self._attached = False
        # When the media first wanted data, and got none yet.
        self._hungry_since_ns: int | None = None
        self._played = False
        # Used by the encoder's thread alone.
        self._feed = AppsrcFeed(WAITING_UNITS, WAITING_BYTES, hub.request_key_frame)
        self._sent_pts_ns: deque[int] = deque(maxlen=WAITING_UNITS)
        self._parameter_sets: tuple[list[bytes], list[bytes]] = ([], [])
        self._size: tuple[int, int] | None = None
        self._handler = source.connect("need-data", self._on_need_data)

    def attach(self) -> bool:
        """Take a place in the hub, and say whether that was needed. Any thread."""
        with self._lock:
            if self._source is None or self._attached:
                return False
            self._attached = True
        self._hub.subscribe(self)
        return True

    def play(self) -> None:
        """Send a viewer that has just said PLAY a picture at once. Client's thread."""
        with self._lock:
            first, self._played = not self._played, True
        if self.attach():
            return
        # The first viewer finds the key frame that its DESCRIBE asked for;
        # asking again would make the next viewer wait.
        if not first or self._feed.skipping:
            self._hub.request_picture()

    def starved(self, now_ns: int) -> bool:
        """Return whether the media has waited too long for its first picture. Any thread."""
        with self._lock:
            since_ns = self._hungry_since_ns
            return since_ns is not None and now_ns - since_ns > STARVED_NS

    def detach(self) -> None:
        """Leave the hub; the media stays and `attach` comes back. Any thread."""
        with self._lock:
            if not self._attached:
                return
            self._attached = False
        self._hub.unsubscribe(self)

    @property
    def attached(self) -> bool:
        """Whether the feed has a place in the hub."""
        with self._lock:
            return self._attached

    @property
    def lost(self) -> int:
        """How many units were skipped since the viewers could not take them."""
        return self._feed.lost

    def push(self, unit: AccessUnit) -> None:
        """Queue one unit in the media, or skip it. Encoder's streaming thread."""
        with self._lock:
            source = self._source
            self._hungry_since_ns = None
        if source is None:
            return
        waiting = levels(source)
        if not self._feed.admit(unit, waiting, is_late=self._is_late(unit, waiting[0])):
            return
        picture = self._note_parameter_sets(unit, source)
        if picture is None:
            self.end()
            self._on_resized()
            return
        self._sent_pts_ns.append(unit.pts_ns)
        push(source, unit, with_lengths(picture))

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let us go: the viewers must not wait for more."""
        logger.error("An RTSP media failed and ends: %s", error)
        with self._lock:
            self._attached = False
        self.end()

    def end(self) -> None:
        """Let the media run out: viewers are told (RTCP BYE). Any thread."""
        self.detach()
        with self._lock:
            source = self._source
        if source is not None:
            source.emit("end-of-stream")

    def close(self) -> None:
        """Leave the hub and let go of the media, for good. Idempotent. Any thread."""
        self.detach()
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.disconnect(self._handler)

    def _is_late(self, unit: AccessUnit, waiting: int) -> bool:
        """Whether the oldest unit that waits is older than live video may be."""
        if not 0 < waiting <= len(self._sent_pts_ns):
            return False
        age_ns = unit.pts_ns - self._sent_pts_ns[-waiting]
        return age_ns > (WAITING_NS if self._played else UNPLAYED_NS)

    def _note_parameter_sets(self, unit: AccessUnit, source: GstApp.AppSrc) -> list[bytes] | None:
        """
        Copy SPS and PPS from the unit into the caps; return its NAL units.

        Only from caps that have them does rtph264pay write profile-level-id
        into the SDP. None: the pictures have another size than the SDP said, and
        who records or scales by what it said would go on with the wrong one.
        """
        nals = list(split_annex_b(unit.data))
        if unit.key:
            sps = [one for one in nals if nal_type(one) == SPS]
            pps = [one for one in nals if nal_type(one) == PPS]
            if sps and pps and (sps, pps) != self._parameter_sets:
                size = _size_of(sps[0])
                if self._size is not None and size != self._size:
                    return None
                self._size = size
                self._parameter_sets = (sps, pps)
                source.set_caps(_caps(decoder_configuration(sps, pps)))
        return [one for one in nals if nal_type(one) != AUD]

    def _on_need_data(self, source: GstApp.AppSrc, _size: int) -> None:
        # The appsrc's streaming thread, once: from now on it is fed unasked.
        source.set_property("emit-signals", False)  # noqa: FBT003 - GObject's own call
        with self._lock:
            self._hungry_since_ns = self._clock_ns()
        self.attach()


def _size_of(sps: bytes) -> tuple[int, int] | None:
    try:
        found = read_sps(b"\x00\x00\x01" + sps)
    except ValueError:
        return None
    return None if found is None else (found.width, found.height)


def _caps(codec_data: bytes) -> Gst.Caps:
    # No frame rate: there is none to keep, and the SDP would promise it.
    caps = Gst.Caps.new_empty_simple("video/x-h264")
    caps.set_value("stream-format", "avc")
    caps.set_value("alignment", "au")
    caps.set_value("codec_data", Gst.Buffer.new_wrapped(codec_data))
    return caps
