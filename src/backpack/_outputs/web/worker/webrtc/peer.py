"""Send a stream to one viewer: a pipeline around one webrtcbin, from its offer to its end."""

from __future__ import annotations

import logging
import secrets
import threading
from typing import TYPE_CHECKING, Any

from backpack._gst.appsrc import use_monotonic_clock
from backpack._gst.factory import link, make
from backpack._gst.gi import GLib, Gst, GstVideo
from backpack._gst.webrtc import GstSdp, GstWebRTC
from backpack._outputs.web.worker.webrtc.answer import read_candidate, write_answer
from backpack._outputs.web.worker.webrtc.feed import ViewerFeed
from backpack._outputs.web.worker.webrtc.ice import confine
from backpack.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.hub import Hub
    from backpack._outputs.web.worker.webrtc.answer import Candidate
    from backpack._outputs.web.worker.webrtc.offer import Offer
    from backpack._outputs.web.worker.webrtc.settings import IceSettings

ANSWER_SECONDS = 5.0
"""GStreamer answers in some ten milliseconds."""

GATHER_SECONDS = 2.0
"""Opening a port of this machine takes a moment. Where none is free GStreamer stays silent."""

SILENT_SECONDS = 15.0
"""Of a viewer: until it connects, and then between two of its reports (RTCP), which come every
second from browsers, and every five from others (RFC 3550, 6.2)."""

LARGEST_PACKET_BYTES = 1200
"""Fits through tunnels too (RFC 8835 leaves it open; browsers send as much)."""

_CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"

_OVER = (
    GstWebRTC.WebRTCPeerConnectionState.FAILED,
    GstWebRTC.WebRTCPeerConnectionState.CLOSED,
)

logger = logging.getLogger(__name__)


class Peer:
    """
    One viewer. Everything runs on the main thread, but for what says otherwise.

    It asks nothing of places that an offer names, and learns from the viewer's
    own packets where they come from: nobody can send us to a third party.

    Args:
        hub: The stream.
        offer: What the viewer offers.
        ice: Where it may listen.
        on_answer: Called once: with the answer, or with why there is none.
        on_connected: Called when pictures begin to go out.
        on_gone: Called once, when it is over and was not closed by its owner.

    """

    def __init__(
        self,
        hub: Hub,
        offer: Offer,
        ice: IceSettings,
        *,
        on_answer: Callable[[str | PipelineError], None],
        on_connected: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> None:
        self._offer = offer
        self._ice = ice
        self._on_answer: Callable[[str | PipelineError], None] | None = on_answer
        self._on_connected = on_connected
        self._on_gone = on_gone
        # Known before the first packet, so that the answer can tell it.
        self._ssrc = 1 + secrets.randbelow(0xFFFFFFFE)
        self._candidates: list[Candidate] = []
        # GStreamer's answer, once it is set.
        self._given: str | None = None
        self._is_gathered = False
        self._is_connected = False
        self._is_closed = False
        self._timer = 0
        # What GStreamer still reads: it dies with the Python object that holds it.
        self._kept: list[Any] = []
        source = make("appsrc", format="time", is_live=True, min_latency=0)
        self._webrtcbin = make("webrtcbin", bundle_policy="max-bundle")
        self._rtpbin: Gst.Element = self._webrtcbin.get_by_name("rtpbin")  # type: ignore[attr-defined] # a bin
        self._pipeline = Gst.Pipeline.new(None)
        self._feed = ViewerFeed(
            hub,
            source,  # type: ignore[arg-type]  # an appsrc it is
            on_lost=lambda: self._soon(self._end, "the stream has let it go"),
        )
        try:
            confine(self._webrtcbin, ice)
            self._pad = self._build(source)
        except BaseException:
            self._webrtcbin.set_state(Gst.State.NULL)
            raise
        self._probe = self._pad.add_probe(Gst.PadProbeType.EVENT_UPSTREAM, self._notice_wish)
        bin_, rtp = self._webrtcbin, self._rtpbin
        self._handlers = [
            (bin_, bin_.connect("on-ice-candidate", self._notice_candidate)),
            (bin_, bin_.connect("notify::ice-gathering-state", self._notice_gathering)),
            (bin_, bin_.connect("notify::connection-state", self._notice_connection)),
            (rtp, rtp.connect("on-ssrc-active", self._notice_report)),
            (rtp, rtp.connect("on-bye-ssrc", self._notice_bye)),
        ]
        self._bus = self._pipeline.get_bus()
        self._bus.add_signal_watch()
        self._watch = self._bus.connect("message::error", self._notice_error)

    def open(self) -> None:
        """Begin to answer the offer."""
        self._wait(ANSWER_SECONDS, "GStreamer does not answer")
        if self._pipeline.set_state(Gst.State.PLAYING) is Gst.StateChangeReturn.FAILURE:
            self._end("its pipeline does not start")
            return
        self._set_remote()

    def close(self) -> threading.Thread | None:
        """
        End it, and give the thread that stops the pipeline. Idempotent.

        A webrtcbin waits for its threads when it is stopped, and all streams
        live on the main one.
        """
        if self._is_closed:
            return None
        self._is_closed = True
        self._answer(PipelineError("The stream has ended."))
        # Whoever is told holds us, and GStreamer's sockets close with the last reference.
        self._on_connected = self._on_gone = _ignore
        self._stop_timer()
        self._feed.close()
        self._pad.remove_probe(self._probe)
        for element, handler in self._handlers:
            element.disconnect(handler)
        self._bus.disconnect(self._watch)
        self._bus.remove_signal_watch()
        thread = threading.Thread(target=self._stop, name="spyglass-webrtc", daemon=True)
        thread.start()
        return thread

    def _stop(self) -> None:
        self._pipeline.set_state(Gst.State.NULL)
        # Promises hold functions of ours, which Python's collector cannot see.
        self._kept.clear()

    @property
    def lost(self) -> int:
        """How many pictures it was not in time for."""
        return self._feed.lost

    # --- the pipeline -----------------------------------------------------------

    def _build(self, source: Gst.Element) -> Gst.Pad:
        """Put the pipeline together, and give the pad that the viewer's wishes come up to."""
        pipeline, number = self._pipeline, self._offer.payload_type
        # RTCP's reports then tell capture times, and so does the RTP time without an offset.
        use_monotonic_clock(pipeline)
        source.set_property("caps", Gst.Caps.from_string(_CAPS))
        payloader = make(
            "rtph264pay",
            pt=number,
            mtu=LARGEST_PACKET_BYTES,
            # Parameter sets stand before each key frame already.
            config_interval=0,
            aggregate_mode="zero-latency",
            timestamp_offset=0,
            ssrc=self._ssrc,
        )
        # Left alone it would tell everybody the names of this user and machine.
        sdes = Gst.Structure.new_from_string("application/x-rtp-source-sdes,cname=spyglass")
        self._rtpbin.set_property("sdes", sdes)
        for element in (source, payloader, self._webrtcbin):
            pipeline.add(element)
        link((source, payloader))
        sink = self._webrtcbin.request_pad_simple("sink_0")
        way, wishes = payloader.get_static_pad("src"), source.get_static_pad("src")
        if sink is None or way is None or wishes is None:
            raise PipelineError("GStreamer's webrtcbin takes no stream.")
        transceiver = sink.get_property("transceiver")
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
        transceiver.set_property("do-nack", self._offer.can_nack)
        transceiver.set_property("codec-preferences", Gst.Caps.from_string(self._rtp_caps()))
        if way.link(sink) is not Gst.PadLinkReturn.OK:
            raise PipelineError("GStreamer's rtph264pay and webrtcbin cannot be linked.")
        return wishes

    def _rtp_caps(self) -> str:
        return (
            "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,"
            f"payload={self._offer.payload_type},ssrc=(uint){self._ssrc}"
        )

    # --- offer and answer -------------------------------------------------------

    def _set_remote(self) -> None:
        result, message = GstSdp.SDPMessage.new_from_text(self._offer.text())
        if result is not GstSdp.SDPResult.OK:
            self._end("GStreamer cannot read the offer")
            return
        offer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.OFFER, message)
        self._ask("set-remote-description", self._create_answer, offer)

    def _create_answer(self, _: Gst.Promise) -> None:
        self._ask("create-answer", self._set_local, None)

    def _set_local(self, promise: Gst.Promise) -> None:
        reply = promise.get_reply()
        answer = (
            reply.get_value("answer") if reply is not None and reply.has_field("answer") else None
        )
        if answer is None:
            self._end("GStreamer has no answer to the offer")
            return
        # The reply, and the answer in it, die with the promise.
        self._kept += [reply, answer]
        given = answer.sdp.as_text()
        self._ask("set-local-description", lambda _: self._on_local_set(given), answer)

    def _on_local_set(self, given: str) -> None:
        self._given = given
        # An end by DTLS changes nothing that webrtcbin itself would tell.
        for element in self._webrtcbin.iterate_all_by_element_factory_name("dtlssrtpdec"):  # type: ignore[attr-defined] # a bin
            handler = element.connect("notify::connection-state", self._notice_dtls)
            self._handlers.append((element, handler))
        self._wait(GATHER_SECONDS, "no UDP port is free that it may use")
        self._answer_when_ready()

    def _ask(self, signal: str, then: Callable[[Gst.Promise], None], argument: object) -> None:
        """Have webrtcbin do something, and go on when it has."""
        promise = Gst.Promise.new_with_change_func(lambda done: self._soon(then, done))
        self._kept += [promise, argument]
        self._webrtcbin.emit(signal, argument, promise)

    def _answer_when_ready(self) -> None:
        ready = self._is_gathered and self._candidates
        if self._given is None or not ready or self._on_answer is None:
            return
        self._wait(SILENT_SECONDS, "the viewer has not connected")
        self._answer(write_answer(self._offer, self._given, self._candidates))

    def _answer(self, answer: str | PipelineError) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(answer)

    # --- what happens -----------------------------------------------------------

    def _on_candidate(self, text: str) -> None:
        candidate = read_candidate(text)
        if candidate is not None and self._ice.allows(candidate):
            self._candidates.append(candidate)
            self._answer_when_ready()

    def _on_all_candidates(self) -> None:
        self._is_gathered = True
        self._answer_when_ready()

    def _on_connected_now(self) -> None:
        if self._is_connected:
            return
        self._is_connected = True
        self._on_report()
        # Not before: nothing is encoded for a viewer that cannot be reached.
        self._feed.open()
        self._on_connected()

    def _on_report(self) -> None:
        self._wait(SILENT_SECONDS, "the viewer has fallen silent")

    def _end(self, reason: str) -> None:
        """End by itself, and say why."""
        if self._is_closed:
            return
        logger.debug("A viewer over WebRTC has gone: %s", reason)
        self._answer(PipelineError(f"WebRTC does not work here: {reason}."))
        self._on_gone()

    def _wait(self, seconds: float, reason: str) -> None:
        """End it after so long, from now on."""
        self._stop_timer()

        def late() -> bool:
            self._timer = 0
            self._end(reason)
            return GLib.SOURCE_REMOVE

        self._timer = GLib.timeout_add(round(seconds * 1000), late)

    def _stop_timer(self) -> None:
        if self._timer:
            GLib.source_remove(self._timer)
            self._timer = 0

    # --- on threads of GStreamer's ----------------------------------------------

    def _soon(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the main thread call a function, unless it is over by then."""

        def call() -> bool:
            if not self._is_closed:
                function(*arguments)
            return GLib.SOURCE_REMOVE

        GLib.idle_add(call, priority=GLib.PRIORITY_DEFAULT)

    def _notice_candidate(self, _: Gst.Element, _line: int, candidate: str) -> None:
        self._soon(self._on_candidate, candidate)

    def _notice_gathering(self, webrtcbin: Gst.Element, _: object) -> None:
        state = webrtcbin.get_property("ice-gathering-state")
        if state is GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            self._soon(self._on_all_candidates)

    def _notice_report(self, _: Gst.Element, _session: int, _ssrc: int) -> None:
        self._soon(self._on_report)

    def _notice_bye(self, _: Gst.Element, _session: int, _ssrc: int) -> None:
        self._soon(self._end, "the viewer has ended it")

    def _notice_connection(self, webrtcbin: Gst.Element, _: object) -> None:
        state = webrtcbin.get_property("connection-state")
        if state is GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            self._soon(self._on_connected_now)
        elif state in _OVER:
            self._soon(self._end, f"its connection is {state.value_nick}")

    def _notice_wish(self, _: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
        event = info.get_event()
        if event is not None and GstVideo.video_event_is_force_key_unit(event):
            self._feed.wish_key_frame()
        return Gst.PadProbeReturn.OK

    def _notice_dtls(self, element: Gst.Element, _: object) -> None:
        if element.get_property("connection-state").value_nick == "closed":
            self._soon(self._end, "the viewer has closed the connection")

    def _notice_error(self, _: Gst.Bus, message: Gst.Message) -> None:
        # The bus calls on the main thread.
        error, debug = message.parse_error()
        logger.debug("WebRTC: %s", debug)
        self._end(error.message.rstrip("."))


def _ignore() -> None:
    """Do nothing."""
