"""Run kvssink: feed it, hear it, end it. In the child alone."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from backpack._gst.factory import Value, make, set_property
from backpack._gst.gi import Gst
from backpack._outputs.kvs.worker.kvssink import signals as acks
from backpack._outputs.kvs.worker.kvssink.element import ELEMENT
from backpack.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._outputs.kvs.worker.kvssink.settings import Property
    from backpack._outputs.kvs.worker.kvssink.signals import Ack, Metrics

logger = logging.getLogger(__name__)

_MUST_BE_TAKEN: Final = frozenset(
    {"stream-name", "credential-path", "iot-certificate", "use-original-pts"}
)
"""Without one of these, video would go to a wrong place, with a wrong key or wrong times."""

_MOST_BYTES: Final = 8 << 20


class SinkPipeline:
    """
    ``appsrc ! kvssink``.

    `start` blocks on the network; `push` and `end` are called by another
    thread than `start` and `wait`, once `start` has returned.

    Args:
        properties: kvssink's.
        video: ``width``, ``height`` and ``codec_data`` (hexadecimal).
        on_ack: Called on the SDK's threads.
        on_metrics: Called on GStreamer's.
        on_status: Called on the SDK's threads with the number of an error.

    Raises:
        PipelineError: It cannot be put together.

    """

    def __init__(
        self,
        properties: Mapping[str, Property],
        video: Mapping[str, Any],
        *,
        on_ack: Callable[[Ack], None],
        on_metrics: Callable[[Metrics], None],
        on_status: Callable[[int], None],
    ) -> None:
        caps = Gst.Caps.from_string(
            "video/x-h264,stream-format=avc,alignment=au,"
            f"width={int(video['width'])},height={int(video['height'])},"
            f"codec_data=(buffer){bytes.fromhex(video['codec_data']).hex()}"
        )
        assert caps is not None  # noqa: S101 - written above
        self._source: GstApp.AppSrc = make(  # type: ignore[assignment]
            "appsrc", caps=caps, format="time", is_live=True, max_bytes=0
        )
        self._sink = make(ELEMENT)
        for name, value in properties.items():
            if not set_property(self._sink, name, _held(name, value)) and name in _MUST_BE_TAKEN:
                raise PipelineError(f"This kvssink does not take {name}: it is too old.")
        self._sink.connect("stream-error", lambda _, status: on_status(int(status)))
        self._kept = (acks.on_ack(self._sink, on_ack), acks.on_metrics(self._sink, on_metrics))
        self._pipeline = Gst.Pipeline.new("kvssink")
        self._pipeline.add(self._source)
        self._pipeline.add(self._sink)
        pad = self._source.get_static_pad("src")
        sink_pad = self._sink.request_pad_simple("video_%u")
        if pad is None or sink_pad is None or pad.link(sink_pad) is not Gst.PadLinkReturn.OK:
            raise PipelineError("kvssink does not take H.264.")
        # The first buffer of every source is marked so, and kvssink drops a
        # key frame that is: with it the whole group of pictures.
        pad.add_probe(Gst.PadProbeType.BUFFER, _unmark)

    def start(self) -> None:
        """
        Start; blocks until kvssink has its stream and its endpoint, or has given up.

        Raises:
            PipelineError: With what it says.

        """
        for state in (Gst.State.READY, Gst.State.PLAYING):
            if self._pipeline.set_state(state) is Gst.StateChangeReturn.FAILURE:
                message = self._pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
                raise PipelineError(_text(message) if message is not None else "It does not start.")
        # Does nothing unless GST_DEBUG_DUMP_DOT_DIR is set.
        Gst.debug_bin_to_dot_file(self._pipeline, Gst.DebugGraphDetails.ALL, "kvssink")

    def wait(self) -> None:
        """
        Wait until everything is delivered, or kvssink has stopped waiting for that.

        Raises:
            PipelineError: It has failed.

        """
        bus = self._pipeline.get_bus()
        ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
        message = bus.timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends)
        if message is not None and message.type is Gst.MessageType.EOS:
            # It says so as soon as nothing more comes in, and delivers what it keeps on
            # its way to READY: blocks there until the last fragment is persisted, or for
            # `stop-stream-timeout`. (Seen with 3.6.0; without, up to 36 frames are lost.)
            self._pipeline.set_state(Gst.State.READY)
            message = bus.pop_filtered(Gst.MessageType.ERROR)
        if message is not None:
            raise PipelineError(_text(message))

    @property
    def is_full(self) -> bool:
        """Whether kvssink does not take what it is given; it should, and drop the oldest."""
        return int(self._source.get_property("current-level-bytes")) > _MOST_BYTES

    def push(self, wall_ns: int, payload: bytes, *, key: bool) -> None:
        """Pass it a picture."""
        buffer = Gst.Buffer.new_wrapped(payload)
        # With use-original-pts it is the DTS that counts.
        buffer.pts = buffer.dts = wall_ns
        if not key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        self._source.emit("push-buffer", buffer)

    def end(self) -> None:
        """Say that nothing follows."""
        self._source.emit("end-of-stream")


def _held(name: str, value: Property) -> Value:
    """Make a structure of a mapping, as kvssink reads it: texts under its own name."""
    if not isinstance(value, Mapping):
        return value
    structure = Gst.Structure.new_empty(name)
    for field, text in value.items():
        structure.set_value(field, text)
    return structure


def _unmark(_: Gst.Pad, info: Gst.PadProbeInfo) -> Gst.PadProbeReturn:
    buffer = info.get_buffer()
    if buffer is not None:
        buffer.unset_flags(Gst.BufferFlags.DISCONT)
    return Gst.PadProbeReturn.REMOVE


def _text(message: Gst.Message) -> str:
    """Return what an error says: kvssink puts its reason into the debug text."""
    error, debug = message.parse_error()
    reason = (debug or "").strip().splitlines()
    return f"{error.message.rstrip('.')} ({reason[-1]})" if reason else str(error.message)
