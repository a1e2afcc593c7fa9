"""Feed a GStreamer pipeline of the application's own, in the streaming process."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from backpack._gst.appsrc import AppsrcFeed
from backpack._gst.gi import GLib
from backpack._lib.timing import Backoff
from backpack._media.output import QuietOutput, opened
from backpack._outputs.gst.worker.far_side import explain, far_sides
from backpack._outputs.gst.worker.flow import STALL_NS, Flow
from backpack._outputs.gst.worker.pipeline import SinkPipeline
from backpack.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backpack._ipc.settings import StreamSettings
    from backpack._media.access_unit import AccessUnit
    from backpack._media.hub import Hub
    from backpack._media.output import StreamSource

logger = logging.getLogger(__name__)

_MOST_UNITS: Final = 90
_MOST_BYTES: Final = 16 << 20
_OPENING_MS: Final = 500
"""For so long a stream's start waits for what can be said at once."""
_START_SECONDS: Final = 10
"""An attempt to start that takes longer is given up: name servers answer within it, and a
connection that got no answer repeats its request too seldom from then on."""
_SAYS_NOTHING: Final = re.compile(r"\. \((?:Generic|System) error\)$")
"""What GStreamer's RTSP library says of everything that is wrong with a connection."""
_LONGEST_WAIT: Final = 3.0
_STOP_SECONDS: Final = 1.0
"""For the end of the stream to pass through, and again for closing what is open."""
_STABLE_SECONDS: Final = 10.0
"""A pipeline that ran for so long has worked: the next failure is a first one."""


class GstOutput(QuietOutput):
    """
    Push the pictures of a hub into a pipeline, and start it again when it fails.

    What cannot ever work (the text is no pipeline, an element is missing) is an
    error of `open`, or makes the output `failed`. Everything else is tried again
    every few seconds: networks and far sides come and go.

    Everything is called on the main thread and nothing blocks it, except `push`:
    on the encoder's thread, and it does not block either.

    Args:
        hub: The stream.
        pipeline: Elements as ``gst-launch-1.0`` takes them.
        repeats: Whether it gets pictures that were made for viewers as well.
        on_stats_changed: Called, on the main thread, when what this output tells has changed.

    """

    def __init__(
        self, hub: Hub, pipeline: str, *, repeats: bool, on_stats_changed: Callable[[], None]
    ) -> None:
        self.takes_repeats = repeats
        self._hub = hub
        self._text = pipeline
        # Waiting is no failure where nobody is connected to: a socket that listens waits for its
        # first caller, a named pipe for its reader.
        self._connects = bool(far_sides(pipeline))
        self._on_stats_changed = on_stats_changed
        self._feed = AppsrcFeed(_MOST_UNITS, _MOST_BYTES, hub.request_key_frame)
        self._backoff = Backoff(0.5, _LONGEST_WAIT)
        # The main thread's.
        self._is_opening = False
        self._is_refused = False
        self._trouble = ""
        self._warned = ""
        self._pipeline: SinkPipeline | None = None
        # Those that are stopping: a new attempt waits until nothing is open any more.
        self._stopping: list[SinkPipeline] = []
        self._timers: set[int] = set()
        # Looks for the reason of a failure.
        self._look: threading.Thread | None = None
        self._started_at = 0.0
        self._end_by: float | None = None
        # Guards what `push` uses.
        self._lock = threading.Lock()
        self._running: SinkPipeline | None = None
        self._flow = Flow(0)
        self._is_proven = False

    def open(self) -> None:
        """
        Begin to start the pipeline.

        Raises:
            PipelineError: The text is no pipeline, or an element is missing.

        """
        self._is_opening = True
        self._begin()
        self._later(_OPENING_MS, self._opened)

    @property
    def opening(self) -> bool:
        """Whether it may still turn out at once that the pipeline cannot work."""
        return self._is_opening

    @property
    def failed(self) -> bool:
        """Whether the pipeline can never work on this machine."""
        return self._is_refused

    @property
    def trouble(self) -> str:
        """Why nothing arrives, until something does again. Empty: nothing is wrong."""
        return self._trouble

    @property
    def viewers(self) -> int:
        """1 while the pipeline runs, else 0."""
        return int(self._running is not None)

    @property
    def lost(self) -> int:
        """How many pictures the pipeline could not take in time."""
        return self._feed.lost

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Begin to end: give what was pushed a second to pass through, however long is allowed."""
        del seconds, longest_seconds
        if self._end_by is not None:
            return
        self._end_by = time.monotonic() + _STOP_SECONDS
        self._cancel_timers()
        self._hub.unsubscribe(self)
        running = self._forget_running()
        if running is not None:
            running.end_stream()
            self._later(int(_STOP_SECONDS * 1000), self._stop_pipeline)
        else:
            self._stop_pipeline()
        # One that hangs is not waited for.
        self._later(int(2 * _STOP_SECONDS * 1000), self._on_stats_changed)

    @property
    def finished(self) -> bool:
        """Whether everything has been closed, or hangs."""
        if self._end_by is None:
            return True
        if self._pipeline is None and not self._hangs():
            return True
        return time.monotonic() >= self._end_by + _STOP_SECONDS

    def close(self) -> None:
        """Close it, whatever is left. Idempotent."""
        self._cancel_timers()
        self._hub.unsubscribe(self)
        self._forget_running()
        self._stop_pipeline()
        if self._end_by is not None and self._hangs():
            logger.warning("GstSink hangs and cannot be stopped; a thread is left behind.")
        self._stopping.clear()
        # What a look finds out from now on is nobody's concern.
        self._end_by = self._end_by or time.monotonic()

    # --- the encoder's thread --------------------------------------------------

    def push(self, unit: AccessUnit) -> None:
        """Queue one picture in the pipeline, or skip it."""
        with self._lock:
            pipeline, flow = self._running, self._flow
        if pipeline is None:
            return
        waiting = pipeline.waiting()
        now_ns = time.monotonic_ns()
        flow.note(waiting[0], now_ns)
        if self._connects and flow.is_stalled(now_ns):
            GLib.idle_add(self._on_stalled, pipeline)
        elif not self._is_proven and flow.is_proven(now_ns):
            self._is_proven = True
            GLib.idle_add(self._on_proven, pipeline)
        if self._feed.admit(unit, waiting):
            pipeline.push(unit)
            flow.note_queued()

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let this reader go."""
        GLib.idle_add(self._fail, str(error))

    # --- one attempt after the other -------------------------------------------

    def _begin(self) -> None:
        self._pipeline = pipeline = SinkPipeline(
            self._text,
            on_started=self._on_started,
            on_failed=self._on_failed,
            on_ended=self._on_ended,
            on_stopped=self._on_stopped,
        )
        self._started_at = time.monotonic()
        if self._connects:
            self._later(_START_SECONDS * 1000, self._on_late, pipeline)
        pipeline.start()

    def _on_started(self) -> None:
        with self._lock:
            self._running = self._pipeline
            self._flow = Flow(time.monotonic_ns())
            self._is_proven = False
        self._hub.subscribe(self)
        self._opened()

    def _opened(self) -> None:
        if self._is_opening:
            self._is_opening = False
            self._on_stats_changed()

    def _on_proven(self, pipeline: SinkPipeline) -> bool:
        """Called when pictures get through."""
        if pipeline is self._running and self._trouble:
            logger.info("GstSink delivers again.")
            self._trouble = self._warned = ""
            self._on_stats_changed()
        return GLib.SOURCE_REMOVE

    def _on_late(self, pipeline: SinkPipeline) -> None:
        if pipeline is self._pipeline and self._running is None:
            name = pipeline.silent_element() or "the pipeline"
            self._fail_silently(f"{name}: it has not started within {_START_SECONDS} s")

    def _on_stalled(self, pipeline: SinkPipeline) -> bool:
        if pipeline is self._running:
            seconds = STALL_NS // 1_000_000_000
            self._fail_silently(f"it has taken no picture for {seconds} s")
        return GLib.SOURCE_REMOVE

    def _on_failed(self, reason: str, is_missing: bool) -> None:  # noqa: FBT001 - a callback
        if is_missing and self._is_opening:
            self._is_refused = True
            self._trouble = f"GstSink: {reason}."
            self._stop_pipeline()
            self._opened()
        elif _SAYS_NOTHING.search(reason):
            self._fail_silently(_SAYS_NOTHING.sub("", reason))
        else:
            self._fail(reason)

    def _on_ended(self) -> None:
        if self._end_by is not None:
            self._stop_pipeline()
        else:
            self._fail("it has ended")

    def _on_stopped(self) -> None:
        if self._end_by is not None:
            self._on_stats_changed()

    def _fail_silently(self, reason: str) -> None:
        """Fail for a reason that says too little, and look for a better one."""
        self._fail(reason, says_enough=False)
        # A name server may take longer than several attempts: one look at a time.
        if self._look is None or not self._look.is_alive():
            self._look = threading.Thread(
                target=self._explain, args=(reason,), name="spyglass-far-side", daemon=True
            )
            self._look.start()

    def _explain(self, reason: str) -> None:
        cause = explain(self._text)
        GLib.idle_add(self._tell, f"{reason}: {cause}" if cause else reason)

    def _fail(self, reason: str, *, says_enough: bool = True) -> bool:
        """Stop the pipeline, say why, and try again later."""
        if self._pipeline is None or self._end_by is not None:
            return GLib.SOURCE_REMOVE
        self._cancel_timers()
        self._hub.unsubscribe(self)
        self._forget_running()
        self._is_proven = False
        self._stop_pipeline()
        if time.monotonic() - self._started_at >= _STABLE_SECONDS:
            self._backoff.reset()
        self._later(int(self._backoff.next_wait() * 1000), self._try_again)
        self._is_opening = False
        self._tell(reason, to_log=says_enough)
        return GLib.SOURCE_REMOVE

    def _try_again(self) -> None:
        if self._hangs():
            self._tell("it hangs and cannot be stopped")
            self._later(1000, self._try_again)
            return
        try:
            self._begin()
        except PipelineError as error:
            self._tell(str(error).removeprefix("GstSink: ").rstrip("."))
            self._later(int(self._backoff.next_wait() * 1000), self._try_again)

    def _tell(self, reason: str, *, to_log: bool = True) -> bool:
        """Return what is wrong; to the log once, not at every attempt."""
        if self._end_by is None and not self._is_proven:
            self._trouble = f"GstSink: {reason}. It is tried again every few seconds."
            if to_log and reason != self._warned:
                self._warned = reason
                logger.warning("%s", self._trouble)
            self._on_stats_changed()
        return GLib.SOURCE_REMOVE

    # --- small parts -----------------------------------------------------------

    def _forget_running(self) -> SinkPipeline | None:
        with self._lock:
            running, self._running = self._running, None
        return running

    def _stop_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.stop()
            self._stopping.append(pipeline)

    def _hangs(self) -> bool:
        """Whether a pipeline that was stopped still has something open."""
        self._stopping = [one for one in self._stopping if not one.is_stopped]
        return bool(self._stopping)

    def _later(self, after_ms: int, call: Callable[..., None], *arguments: object) -> None:
        """Call on the main thread, unless `_cancel_timers` comes first."""

        def once() -> bool:
            self._timers.discard(number)
            call(*arguments)
            return GLib.SOURCE_REMOVE

        number = GLib.timeout_add(after_ms, once)
        self._timers.add(number)

    def _cancel_timers(self) -> None:
        for number in self._timers:
            GLib.source_remove(number)
        self._timers.clear()


def open_output(
    description: Mapping[str, Any], source: StreamSource, _settings: StreamSettings
) -> GstOutput:
    """
    Open the output that the application has described.

    Raises:
        PipelineError: Its text is no pipeline, or an element is missing.

    """
    return opened(
        GstOutput(
            source.hub,
            description["pipeline"],
            repeats=description["repeats"],
            on_stats_changed=source.peer.stats_changed,
        )
    )
