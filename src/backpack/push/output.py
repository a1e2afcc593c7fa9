"""Feed a GStreamer pipeline of the application's own, in the streaming process."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from backpack.errors import PipelineError
from backpack.gst.gi import GLib, Gst
from backpack.handover.backoff import Backoff
from backpack.hub.output import QuietOutput
from backpack.hub.queue import DropPolicy

if TYPE_CHECKING:
    from backpack.gst.gi import GstApp
    from backpack.hub.hub import Hub
    from backpack.hub.unit import AccessUnit

__all__ = ["GstOutput"]

logger = logging.getLogger(__name__)

_CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"
_MOST_UNITS = 90
_MOST_BYTES = 16 << 20
_END_SECONDS = 1.0
_STABLE_SECONDS = 10.0
"""A pipeline that ran so long has worked: the next failure is a first one."""


class GstOutput(QuietOutput):
    """
    Be a reader of a hub that pushes into a pipeline; start it again when it fails.

    `open` and `close` are called on the main thread, `push` on the encoder's.

    Args:
        hub: The stream.
        pipeline: Elements as `gst-launch-1.0` takes them.
        repeats: Whether pictures that were made for viewers go in as well.

    """

    def __init__(self, hub: Hub, pipeline: str, *, repeats: bool) -> None:
        self.takes_repeats = repeats
        self._hub = hub
        self._text = pipeline
        self._policy = DropPolicy(_MOST_UNITS, _MOST_BYTES)
        self._backoff = Backoff(1.0, 30.0)
        # The main thread's.
        self._pipeline: Gst.Pipeline | None = None
        self._watch = 0
        self._retry = 0
        self._started_at = 0.0
        # Guards the source against `close` on another thread.
        self._lock = threading.Lock()
        self._source: GstApp.AppSrc | None = None

    def open(self) -> None:
        """
        Start the pipeline and take a place in the hub.

        Raises:
            PipelineError: The text is no pipeline, or an element is missing
                or cannot be started.

        """
        source_text = f'appsrc name=spyglass format=time is-live=true caps="{_CAPS}" ! '
        try:
            pipeline = Gst.parse_launch(source_text + self._text)
        except GLib.Error as error:
            raise PipelineError(f"GstSink: {error.message}.") from None
        if not isinstance(pipeline, Gst.Pipeline):
            raise PipelineError("GstSink: the text is no pipeline.")
        # Buffers carry the monotonic clock, which becomes the running time.
        pipeline.use_clock(Gst.SystemClock.obtain())
        pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
        pipeline.set_base_time(0)
        source = pipeline.get_by_name("spyglass")
        self._pipeline = pipeline
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        self._watch = bus.connect("message", self._on_message)
        if pipeline.set_state(Gst.State.PLAYING) is Gst.StateChangeReturn.FAILURE:
            message = bus.timed_pop_filtered(0, Gst.MessageType.ERROR)
            reason = "it does not start."
            if message is not None:
                reason = message.parse_error()[0].message
            self._tear_down()
            raise PipelineError(f"GstSink: {reason}")
        with self._lock:
            self._source = source  # type: ignore[assignment]
        self._started_at = time.monotonic()
        self._hub.attach(self)

    def close(self) -> None:
        """End the stream, wait a second for what is under way, stop. Idempotent."""
        self._hub.detach(self)
        if self._retry:
            GLib.source_remove(self._retry)
            self._retry = 0
        with self._lock:
            source, self._source = self._source, None
        if source is not None and self._pipeline is not None:
            source.emit("end-of-stream")
            ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
            self._pipeline.get_bus().timed_pop_filtered(int(_END_SECONDS * Gst.SECOND), ends)
        self._tear_down(_END_SECONDS)

    @property
    def viewers(self) -> int:
        """Tell whether the pipeline runs: 1 or 0."""
        return int(self._source is not None)

    @property
    def lost(self) -> int:
        """Tell how many pictures the pipeline could not take in time."""
        return self._policy.lost

    def push(self, unit: AccessUnit) -> None:
        """Queue one picture in the pipeline, or skip it. Encoder's thread; never waits."""
        with self._lock:
            source = self._source
        if source is None:
            return
        waiting = int(source.get_property("current-level-buffers"))
        waiting_bytes = int(source.get_property("current-level-bytes"))
        if not self._policy.admit(
            len(unit.data), key=unit.key, waiting_units=waiting, waiting_bytes=waiting_bytes
        ):
            if self._policy.has_room(waiting_units=waiting, waiting_bytes=waiting_bytes):
                self._hub.request_key_frame()
            return
        buffer = Gst.Buffer.new_wrapped(unit.data)
        buffer.pts = buffer.dts = unit.pts_ns
        if not unit.key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        source.emit("push-buffer", buffer)

    def on_lost(self, error: Exception) -> None:
        """Hear that the hub has let us go. Encoder's thread."""
        GLib.idle_add(self._failed, str(error))

    def _on_message(self, _: Gst.Bus, message: Gst.Message) -> None:
        if message.type is Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            logger.debug("GstSink: %s", debug)
            name = message.src.get_name() if message.src is not None else "?"
            self._failed(f"{name}: {error.message.rstrip('.')}")
        elif message.type is Gst.MessageType.EOS:
            self._failed("it has ended")

    def _failed(self, reason: str) -> bool:
        """Stop the pipeline and start it again later. Main thread."""
        if self._source is None:
            return GLib.SOURCE_REMOVE
        if time.monotonic() - self._started_at >= _STABLE_SECONDS:
            self._backoff.reset()
        wait = self._backoff.next_wait()
        logger.warning("GstSink failed: %s. Starting it again in %.0f s.", reason, wait)
        self._hub.detach(self)
        with self._lock:
            self._source = None
        self._tear_down()
        self._retry = GLib.timeout_add(int(wait * 1000), self._try_again)
        return GLib.SOURCE_REMOVE

    def _try_again(self) -> bool:
        self._retry = 0
        try:
            self.open()
        except PipelineError as error:
            wait = self._backoff.next_wait()
            logger.warning("%s Trying again in %.0f s.", error, wait)
            self._retry = GLib.timeout_add(int(wait * 1000), self._try_again)
        return GLib.SOURCE_REMOVE

    def _tear_down(self, wait_seconds: float = 0.0) -> None:
        """Stop the pipeline, and wait for it at most so long: all streams live on this thread."""
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is None:
            return
        bus = pipeline.get_bus()
        bus.disconnect(self._watch)
        bus.remove_signal_watch()
        # A sink that hangs also hangs whoever stops it.
        stop = threading.Thread(
            target=pipeline.set_state, args=(Gst.State.NULL,), name="spyglass-sink", daemon=True
        )
        stop.start()
        stop.join(wait_seconds)
        if wait_seconds and stop.is_alive():
            logger.warning("GstSink hangs and cannot be stopped; a thread is left behind.")
