"""An open stream and its outputs, until everything has been delivered and closed."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING, Any

from backpack._gst.main_loop import Timer, call_soon, done, when_all_done
from backpack._ipc.messages import Failed, Opened, StreamReport
from backpack._lib.shortage import explain
from backpack._media.output import StreamSource
from backpack._worker.intake import Stream
from backpack._worker.outputs import OutputPeer, open_outputs
from backpack._worker.stream_state import StreamEvent, StreamState, next_state
from backpack.errors import BackpackError, OutputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from backpack._ipc.messages import Message, OpenStream
    from backpack._ipc.ring import RingReader
    from backpack._ipc.settings import StreamSettings
    from backpack._media.output import WorkerOutput
    from backpack._worker.servers import WorkerServers

logger = logging.getLogger(__name__)

HANG_SECONDS = 2.0
"""How much longer than it may take something is waited for that hangs."""


class WorkerStream:
    """
    A stream in the streaming process.

    Everything is called on the main thread, and nothing blocks it.

    Args:
        order: What the application has asked for.
        settings: The settings of the stream, checked.
        passed_over: Encoders that have failed in this application.
        say: Sends a message to the application. Called on any thread.
        on_stats_changed: Called, on any thread, with the number of the stream when its
            numbers are to be reported.
        on_closed: Called once with the number of the stream when it is over.

    """

    def __init__(
        self,
        order: OpenStream,
        settings: StreamSettings,
        *,
        passed_over: set[str],
        say: Callable[[Message], None],
        on_stats_changed: Callable[[int], None],
        on_closed: Callable[[int], None],
    ) -> None:
        self.number = order.id
        self._settings = settings
        self._say = say
        self._on_stats_changed = on_stats_changed
        self._on_closed = on_closed
        self._state = StreamState.OPENING
        self._kinds: list[str] = []
        self._outputs: list[WorkerOutput] = []
        # Those that were not open yet when they were made.
        self._slow: list[WorkerOutput] = []
        self._has_encoder = False
        # How long the outputs may deliver at the end, and how long while they get somewhere.
        self._deliver_seconds = (0.0, 0.0)
        # Ends the waiting for something that hangs.
        self._timer: Timer | None = None
        self._intake = Stream(
            settings,
            passed_over=passed_over,
            on_ready=lambda error: call_soon(self._on_encoder, error),
            on_stats_changed=lambda: on_stats_changed(self.number),
            on_ended=lambda: call_soon(self._on_drained),
            last_size=None if order.last_size is None else (*order.last_size,),
        )

    # --- opening ----------------------------------------------------------------

    def open(self, descriptions: list[dict[str, Any]], servers: WorkerServers) -> None:
        """Open the outputs. A failure is told to the application, and ends the stream."""
        try:
            self._outputs = open_outputs(descriptions, self._source, servers, self._settings)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing streams
            self.refuse(error)
            return
        self._kinds = [str(one.get("kind")) for one in descriptions]
        self._slow = [output for output in self._outputs if output.opening]

    def _source(self, place: int) -> StreamSource:
        peer = OutputPeer(self.number, place, self._say, self._on_stats_changed)
        return StreamSource(self._intake.hub, self.numbers, self._intake.snapshot, peer)

    def refuse(self, error: Exception) -> None:
        """Report to the application why the stream cannot be opened, and end it."""
        self._fail(as_failure(error))
        if self._enter(StreamEvent.REFUSED):
            self._drain(0.0)

    def _on_encoder(self, error: BackpackError | None) -> None:
        if self._state.is_ending:
            return
        if error is None:
            self._has_encoder = True
            self._on_stats_changed(self.number)
        else:
            self._fail(error)

    def attach_ring(self, ring: RingReader) -> None:
        """Take frames from another ring."""
        self._intake.attach_ring(ring)

    # --- open -------------------------------------------------------------------

    def step(self) -> None:
        """Look at the outputs, tell the application what is new, and go on if that is due."""
        if self._state is StreamState.OPENING:
            self._look_whether_open()
        if self._state is StreamState.DELIVERING:
            if all(output.finished for output in self._outputs):
                self._release()
            return
        if self._state.is_ending:
            return
        self.report()
        has_failed = bool(self._outputs) and all(output.failed for output in self._outputs)
        if has_failed and self._enter(StreamEvent.ALL_FAILED):
            self._fail(OutputError(self._trouble or "The output has failed."))
        elif not has_failed and self._enter(StreamEvent.RECOVERED):
            self._say_opened()

    def _look_whether_open(self) -> None:
        if any(output.opening for output in self._slow):
            return
        refused = next((output for output in self._slow if output.failed), None)
        if refused is not None:
            self.refuse(OutputError(refused.trouble))
        elif self._has_encoder and self._enter(StreamEvent.READY):
            self._say_opened()

    def _say_opened(self) -> None:
        # Asked of the hub: the intake may not have looked yet.
        wanted = self._intake.hub.wanted(time.monotonic_ns())
        self._say(Opened(self.number, {"wanted": wanted}))

    def _fail(self, error: BackpackError) -> None:
        self._say(Failed(self.number, type(error).__name__, str(error)))

    def report(self) -> None:
        """Report the numbers to the application."""
        self._say(StreamReport(self.number, self.numbers()))

    def on_message(self, place: int, body: dict[str, Any]) -> None:
        """Hand a message of the application to the output that it is for."""
        if place < len(self._outputs):
            self._outputs[place].on_message(body)

    def ask_for(self, interval_ns: int) -> None:
        """Ask the application for frames that are so far apart; 0: as it likes."""
        self._intake.ask_for(interval_ns)

    @property
    def is_watched(self) -> bool:
        """Whether somebody watches, be it by frames that are not encoded."""
        return self._intake.is_wanted or any(output.viewers for output in self._outputs)

    @property
    def is_delivering(self) -> bool:
        """Whether only its outputs are waited for."""
        return self._state is StreamState.DELIVERING

    def numbers(self) -> dict[str, Any]:
        """Return everything that is counted, under the names of `Stats`."""
        numbers = self._intake.numbers()
        return {
            **numbers,
            "viewers": sum(output.viewers for output in self._outputs),
            "lost": sum(output.lost for output in self._outputs),
            "error": numbers["error"] or self._trouble or None,
            "outputs": [
                {
                    "kind": kind,
                    "viewers": output.viewers,
                    "lost": output.lost,
                    "trouble": output.trouble,
                    **output.numbers(),
                }
                for kind, output in zip(self._kinds, self._outputs, strict=False)
            ],
        }

    @property
    def _trouble(self) -> str:
        return " ".join(output.trouble for output in self._outputs if output.trouble)

    # --- the end ----------------------------------------------------------------

    def on_app_exit(self) -> None:
        """Pass on to the outputs that the application has gone."""
        for output in self._outputs:
            output.on_app_exit()

    def close(
        self, seconds: float, deliver_seconds: float, *, longest_seconds: float = 0.0
    ) -> None:
        """
        Begin to end; `on_closed` follows.

        Args:
            seconds: For encoding what was put.
            deliver_seconds: For the outputs, after that.
            longest_seconds: The same, while they get somewhere.

        """
        self._deliver_seconds = (deliver_seconds, longest_seconds)
        if self._enter(StreamEvent.CLOSE):
            self._drain(seconds)

    def _drain(self, seconds: float) -> None:
        if self._intake.finished:
            self._on_drained()
            return
        self._intake.finish(seconds)
        self._timer = Timer(seconds + HANG_SECONDS, self._on_drained)

    def _on_drained(self) -> None:
        if not self._enter(StreamEvent.DRAINED):
            return
        # Only now: the encoder had something for them still.
        for output in self._outputs:
            output.finish(*self._deliver_seconds)
        self._timer = Timer(max(self._deliver_seconds) + HANG_SECONDS, self._release)
        self.step()
        # A process that ends has to know that something is delivered: that may take longer.
        self._on_stats_changed(self.number)

    def _release(self) -> None:
        if not self._enter(StreamEvent.DELIVERED):
            return
        if self._outputs:
            # What was delivered at the very end; one that never opened has no say.
            self.report()
        closings = [_closing(output) for output in self._outputs]
        if self._intake.finished:
            self._intake.close()
        else:
            logger.warning("An encoder hangs; a thread is left behind.")
        when_all_done(closings, self._on_released)

    def _on_released(self) -> None:
        if self._enter(StreamEvent.RELEASED):
            self._on_closed(self.number)

    def _enter(self, event: StreamEvent) -> bool:
        """Go where an event leads; return whether it leads anywhere."""
        state = next_state(self._state, event)
        if state is None:
            return False
        self._state = state
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return True


def _closing(output: WorkerOutput) -> Future[None]:
    try:
        return output.close() or done()
    except Exception:
        logger.exception("An output could not be closed.")
        return done()


def as_failure(error: Exception) -> BackpackError:
    """Return why a stream cannot be opened, whatever the error is."""
    with contextlib.suppress(Exception):
        return explain(error)
    logger.debug("A stream could not be opened.", exc_info=error)
    return OutputError(f"The stream could not be opened: {type(error).__name__}: {error}.")
