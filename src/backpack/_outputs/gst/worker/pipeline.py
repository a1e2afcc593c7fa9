"""Start, feed and stop one pipeline that takes encoded pictures, without waiting for it."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from backpack._gst.appsrc import levels, push, use_monotonic_clock
from backpack._gst.gi import GLib, Gst
from backpack._gst.main_loop import call_soon
from backpack._outputs.gst.worker.reasons import element_of, reason_of
from backpack.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._media.access_unit import AccessUnit

_CAPS = "video/x-h264,stream-format=byte-stream,alignment=au"


class SinkPipeline:
    """
    One run of a pipeline, from `start` to `stop`. It cannot be started again.

    Elements connect, resolve names and open files while their state changes, so
    each state change may block for as long as a network is silent. All state
    changes are made on a thread of the pipeline's own, and nothing here waits
    for that thread.

    Every method is called on the main thread, except `push` and `waiting`; the
    callbacks are called on the main thread too, and none but the last after `stop`.

    Args:
        text: Elements as ``gst-launch-1.0`` takes them; the first takes H.264.
        on_started: Called once, when the state change to PLAYING has returned;
            not called where it has failed.
        on_failed: Called once: with the reason, and whether an element is
            missing, so that another attempt is pointless.
        on_ended: Called once, when the end of the stream has passed the pipeline.
        on_stopped: Called once after `stop`, when the pipeline has released
            everything it had open.

    Raises:
        PipelineError: The text is not a pipeline, or names an element or a
            property that does not exist.

    """

    def __init__(
        self,
        text: str,
        *,
        on_started: Callable[[], None],
        on_failed: Callable[[str, bool], None],
        on_ended: Callable[[], None],
        on_stopped: Callable[[], None],
    ) -> None:
        source_text = f'appsrc name=spyglass format=time is-live=true caps="{_CAPS}" ! '
        try:
            pipeline = Gst.parse_launch(source_text + text)
        except GLib.Error as error:
            raise PipelineError(f"GstSink: {error.message}.") from None
        if not isinstance(pipeline, Gst.Pipeline):
            raise PipelineError("GstSink: the text is not a pipeline.")
        use_monotonic_clock(pipeline)
        self._pipeline = pipeline
        self._source: GstApp.AppSrc = pipeline.get_by_name("spyglass")  # type: ignore[assignment]
        self._on_started = on_started
        self._on_failed = on_failed
        self._on_ended = on_ended
        self._on_stopped = on_stopped
        self._is_over = False
        self._has_ended = False
        self._stop = threading.Event()
        self._is_started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spyglass-sink", daemon=True)
        bus = pipeline.get_bus()
        bus.add_signal_watch()
        self._watch = bus.connect("message", self._on_message)

    def start(self) -> None:
        """Begin to start the pipeline; `on_started` or `on_failed` follows."""
        self._thread.start()

    def push(self, unit: AccessUnit) -> None:
        """Queue one picture. Any thread; never blocks."""
        push(self._source, unit)

    def waiting(self) -> tuple[int, int]:
        """Return how many pictures, and how many bytes, are queued. Any thread."""
        return levels(self._source)

    def end_stream(self) -> None:
        """Send the end of the stream through the pipeline; `on_ended` follows."""
        self._source.emit("end-of-stream")

    def stop(self) -> None:
        """Begin to stop the pipeline; `is_stopped` becomes true. Idempotent."""
        if self._is_over:
            return
        self._is_over = True
        bus = self._pipeline.get_bus()
        bus.disconnect(self._watch)
        bus.remove_signal_watch()
        self._stop.set()
        if not self._is_started.is_set():
            self._cancel()

    @property
    def is_stopped(self) -> bool:
        """Whether the pipeline has released everything it had open."""
        return self._has_ended or not self._thread.is_alive()

    def silent_element(self) -> str:
        """Return the name of the element that has not come up, or "" where all have."""
        for element in _elements(self._pipeline):
            if isinstance(element, Gst.Bin):
                continue
            # Its own field: asking for the state would wait for the element.
            if element.current_state is Gst.State.NULL:
                return element_of(element)
        return ""

    def _run(self) -> None:
        result = self._pipeline.set_state(Gst.State.PLAYING)
        self._is_started.set()
        failed = result is Gst.StateChangeReturn.FAILURE
        # After the messages about it, which have a higher priority.
        GLib.idle_add(self._note_start, failed)
        self._stop.wait()
        self._pipeline.set_state(Gst.State.NULL)
        self._has_ended = True
        call_soon(self._on_stopped)

    def _note_start(self, failed: bool) -> bool:  # noqa: FBT001 - GLib passes it so
        if not self._is_over:
            if failed:
                self._fail("it does not start", is_missing=False)
            else:
                self._on_started()
        return GLib.SOURCE_REMOVE

    def _on_message(self, _: Gst.Bus, message: Gst.Message) -> None:
        if self._is_over:
            return
        if message.type is Gst.MessageType.ERROR:
            error, _debug = message.parse_error()
            is_missing = error.matches(Gst.CoreError.quark(), Gst.CoreError.MISSING_PLUGIN)
            self._fail(reason_of(message), is_missing=is_missing)
        elif message.type is Gst.MessageType.EOS:
            self._on_ended()

    def _fail(self, reason: str, *, is_missing: bool) -> None:
        self.stop()
        self._on_failed(reason, is_missing)

    def _cancel(self) -> None:
        """Interrupt elements that wait for a network while they start."""
        for element in _elements(self._pipeline):
            kind = type(element)
            # What stopping does first; here the state change in progress is in its way.
            if hasattr(kind, "do_unlock"):
                # GLib's error: the element does not wait for anything.
                with contextlib.suppress(GLib.Error):
                    kind.do_unlock(element)


def _elements(pipeline: Gst.Bin) -> list[Gst.Element]:
    found: list[Gst.Element] = []
    iterator = pipeline.iterate_recurse()
    while True:
        result, element = iterator.next()
        if result is not Gst.IteratorResult.OK:
            return found
        found.append(element)
