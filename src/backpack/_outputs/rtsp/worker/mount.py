"""Serve one stream under one path: its media, and who gets data from them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from backpack._gst.appsrc import use_monotonic_clock
from backpack._gst.gi import GLib, Gst, GstApp
from backpack._gst.rtsp import GstRtsp, GstRtspServer
from backpack._outputs.rtsp.worker.auth import grant
from backpack._outputs.rtsp.worker.media import APPSRC, LAUNCH, MediaFeed
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.hub import Hub

FORGET_NS = 10_000_000_000
"""How long a client may think between DESCRIBE and PLAY while we encode for it."""

RTCP_INTERVAL_NS = 1_000_000_000
"""A new viewer learns the capture time from the first sender report: soon, not within 5 s."""

_LEAVING = (
    GstRtspServer.RTSPMediaStatus.UNPREPARED,
    GstRtspServer.RTSPMediaStatus.UNPREPARING,
    GstRtspServer.RTSPMediaStatus.ERROR,
)

_TCP_QUEUE_NS = 10_000_000_000
_TCP_QUEUE_BYTES = 32 * 1024 * 1024


class _SharedFactory(GstRtspServer.RTSPMediaFactory):
    """Make one media for a path, however clients spell the rest of its URL."""

    generation = 0
    is_leaving: Callable[[], bool] = staticmethod(lambda: False)

    def do_gen_key(self, url: GstRtsp.RTSPUrl) -> str:  # noqa: ARG002 - GStreamer's signature
        """
        Decide which clients share a media: by default those that name the same port.

        A media that is being taken down, after its last viewer, is shared no more: who
        got it would be answered 503.
        """
        if self.is_leaving():
            self.generation += 1
        return f"shared-{self.generation}"


class Mount:
    """
    One path of a server.

    gst-rtsp-server makes the media when the first client asks, shares it
    between all, and ends it with the last. Its callbacks come on the clients'
    threads; everything else is called on the main thread.

    Args:
        path: The mount path.
        hub: The stream to serve. None: ``pipeline`` makes its own.
        pipeline: Launch text with a payloader that is called pay0.
        secure: Whether video must not leave the encrypted connection.
        pool: The UDP addresses that RTP may be sent from.
        on_resized: Called, on the main thread, when the video has got another
            size, with the media that have ended by that: their viewers are to
            come again, and get another one.

    """

    def __init__(
        self,
        path: str,
        *,
        on_resized: Callable[[list[GstRtspServer.RTSPMedia]], bool],
        hub: Hub | None = None,
        pipeline: str | None = None,
        secure: bool,
        pool: GstRtspServer.RTSPAddressPool | None,
    ) -> None:
        self.path = path
        self._hub = hub
        self._on_resized = on_resized
        # Guards what follows; told when a media has gone.
        self._lock = threading.Condition()
        self._feeds: dict[GstRtspServer.RTSPMedia, MediaFeed | None] = {}
        # Those that still look for their first picture: a client waits for them.
        self._preparing: set[GstRtspServer.RTSPMedia] = set()
        self._ended = False
        # When a media was last seen with a viewer; written by the sweep alone,
        # but for a media's first entry.
        self._seen_ns: dict[GstRtspServer.RTSPMedia, int] = {}
        # What media that have ended lost.
        self._lost_before = 0
        self.factory = _SharedFactory()
        self.factory.is_leaving = self._has_leaving_media
        self.factory.set_launch(LAUNCH if pipeline is None else pipeline)
        self.factory.set_shared(True)
        self.factory.set_protocols(_protocols(secure=secure))
        self.factory.set_latency(0)
        if pool is not None:
            self.factory.set_address_pool(pool)
        grant(self.factory)
        self._handler = self.factory.connect("media-configure", self._on_media_configure)

    def viewers(self) -> int:
        """Count the clients that really get data now. Any thread."""
        return sum(_count_transports(media) for media in self._media())

    @property
    def lost(self) -> int:
        """How many units were skipped because viewers could not take them."""
        with self._lock:
            return self._lost_before + sum(feed.lost for feed in self._feeds.values() if feed)

    def has(self, media: GstRtspServer.RTSPMedia | None) -> bool:
        """Return whether a media is one of this path's. Any thread."""
        with self._lock:
            return media in self._feeds

    def play(self, media: GstRtspServer.RTSPMedia) -> None:
        """Send a client that has just said PLAY a picture at once. Client's thread."""
        with self._lock:
            feed = self._feeds.get(media)
        if feed is not None:
            feed.play()

    def sweep(self, now_ns: int) -> None:
        """Stop encoding for a media that nobody has watched for a while. Main thread."""
        for media in self._media():
            watched = _count_transports(media) > 0
            with self._lock:
                feed = self._feeds.get(media)
                if watched or media not in self._seen_ns:
                    self._seen_ns[media] = now_ns
                forgotten = now_ns - self._seen_ns[media] > FORGET_NS
            if feed is None:
                continue
            if forgotten:
                feed.detach()
            elif feed.starved(now_ns):
                # Who asked would wait 20 s for gst-rtsp-server's own limit.
                _fail(media, "no picture came")

    def end(self) -> None:
        """Let every media run out, and make no more of them. Main thread."""
        with self._lock:
            self._ended = True
        for media in self._media():
            with self._lock:
                feed = self._feeds.get(media)
                preparing = media in self._preparing
            if feed is not None:
                feed.end()
            if preparing:
                # Without a picture its client would wait, and all others with it.
                _fail(media, "the path is not served any more")
            elif feed is None and _count_transports(media):
                # Before its first PLAY a media is blocked, and so would we be.
                media.get_element().send_event(Gst.Event.new_eos())

    def wait_gone(self, timeout_seconds: float) -> None:
        """Wait until the clients' thread has taken every media down. Any other thread."""
        with self._lock:
            self._lock.wait_for(lambda: not self._feeds, timeout_seconds)

    def close(self) -> None:
        """Let go of whatever is left. Main thread."""
        self.factory.disconnect(self._handler)
        for media in self._media():
            self._on_unprepared(media)

    def _has_leaving_media(self) -> bool:
        """Whether a media is being taken down, or was. Clients' thread."""
        with self._lock:
            # To ask for the status of one that prepares would wait for it.
            known = [one for one in self._feeds if one not in self._preparing]
        return any(one.get_status() in _LEAVING for one in known)

    def _media(self) -> list[GstRtspServer.RTSPMedia]:
        with self._lock:
            return list(self._feeds)

    def _on_media_configure(
        self, _factory: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia
    ) -> None:
        element = media.get_element()
        feed: MediaFeed | None = None
        if self._hub is not None:
            pipeline = element.get_parent()
            if isinstance(element, Gst.Bin) and isinstance(pipeline, Gst.Pipeline):
                # RTCP then tells capture times.
                use_monotonic_clock(pipeline)
                pipeline.connect("deep-element-added", _on_element_added)
                source = element.get_by_name(APPSRC)
                if isinstance(source, GstApp.AppSrc):
                    feed = MediaFeed(self._hub, source, self._renew)
        media.connect("prepared", self._on_prepared)
        media.connect("unprepared", self._on_unprepared)
        with self._lock:
            self._feeds[media] = feed
            self._preparing.add(media)
            ended = self._ended
        if ended:
            # Its client asked just before the path went.
            _fail(media, "the path is not served any more")

    def _renew(self) -> None:
        """Share none of the media that there are with new viewers. Encoder's thread."""
        ended = self._media()
        self.factory.generation += 1
        GLib.idle_add(self._on_resized, ended)

    def _on_prepared(self, media: GstRtspServer.RTSPMedia) -> None:
        # A client's thread, in the middle of DESCRIBE.
        with self._lock:
            self._preparing.discard(media)
        for index in range(media.n_streams()):
            stream = media.get_stream(index)
            session = None if stream is None else stream.get_rtpsession()
            if session is not None:
                session.set_property("rtcp-min-interval", RTCP_INTERVAL_NS)

    def _on_unprepared(self, media: GstRtspServer.RTSPMedia) -> None:
        with self._lock:
            feed = self._feeds.pop(media, None)
            self._seen_ns.pop(media, None)
            self._preparing.discard(media)
            if feed is not None:
                self._lost_before += feed.lost
            self._lock.notify_all()
        if feed is not None:
            feed.close()


def check_launch(pipeline: str) -> str:
    """
    Refuse launch text that no media could be made of. Main thread.

    Returns:
        The text in the parentheses that the server wants.

    Raises:
        SettingsError: It does not parse, or has no element called pay0.

    """
    text = pipeline.strip()
    if not text.startswith("("):
        text = f"( {text} )"
    try:
        element = Gst.parse_launch(text)
    except GLib.Error as error:
        raise SettingsError(
            f"The pipeline {pipeline!r} cannot be made: {error.message}."
        ) from error
    found = element.get_by_name("pay0") if isinstance(element, Gst.Bin) else None
    if found is None:
        raise SettingsError(
            f"The pipeline {pipeline!r} has no payloader called pay0. "
            "End it with, for example, '! rtph264pay name=pay0 pt=96'."
        )
    return text


def _protocols(*, secure: bool) -> GstRtsp.RTSPLowerTrans:
    # RTP over UDP would leave in clear beside an encrypted connection. There
    # is no multicast: it would reach whoever is on the network.
    if secure:
        return GstRtsp.RTSPLowerTrans.TCP
    return GstRtsp.RTSPLowerTrans.UDP | GstRtsp.RTSPLowerTrans.TCP


def _count_transports(media: GstRtspServer.RTSPMedia) -> int:
    count = 0
    for index in range(media.n_streams()):
        stream = media.get_stream(index)
        if stream is not None:
            count = max(count, len(stream.transport_filter(None)))
    return count


def _fail(media: GstRtspServer.RTSPMedia, why: str) -> None:
    """End a media that prepares in vain: its client gets a 503 now."""
    error = GLib.Error(why, "gst-stream-error-quark", int(Gst.StreamError.FAILED))
    element = media.get_element()
    element.post_message(Gst.Message.new_error(element, error, ""))


def _on_element_added(_top: Gst.Bin, _bin: Gst.Bin, element: Gst.Element) -> None:
    factory = element.get_factory()
    name = "" if factory is None else factory.get_name()
    if name == "queue":
        # The server puts a queue of one buffer before its sinks as soon as one
        # media has viewers over both UDP and TCP. Its TCP sink stops when no
        # TCP viewer reads; with room in that queue the UDP viewers play on
        # until the one that stalls is closed.
        element.set_property("max-size-buffers", 0)
        element.set_property("max-size-bytes", _TCP_QUEUE_BYTES)
        element.set_property("max-size-time", _TCP_QUEUE_NS)
    elif name == "rtpbin":
        # Else the sinks' latency is added to the capture times that RTCP tells.
        element.set_property("rtcp-sync-send-time", False)  # noqa: FBT003 - GObject's own call
    elif name in ("multiudpsink", "appsink"):
        # 20 ms by default, which every picture would wait for.
        element.set_property("processing-deadline", 0)
