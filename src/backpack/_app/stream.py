"""A stream as the application knows it: its state, and what is reported of it."""

from __future__ import annotations

import functools
import logging
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from backpack._app.counters import StreamNumbers
from backpack._app.notices import notify
from backpack._app.output import TwoWayOutput
from backpack._app.rate_cap import RateCap
from backpack._app.remote import RemoteHandle
from backpack._app.state import Event, Phase, State, StateMachine
from backpack._ipc.child import cpu_seconds
from backpack._ipc.messages import AttachRing, CloseStream, OpenStream, ToOutput
from backpack._registry import location_of
from backpack.errors import ShortageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._app.output import Output
    from backpack._app.writer import FrameWriter
    from backpack._ipc.messages import FromOutput, Message, Opened, StreamReport
    from backpack._ipc.settings import StreamSettings
    from backpack.errors import BackpackError

DRAIN_SECONDS = 1.0
"""How long a stop waits for what was put before it to go out."""

_CAPPED = (
    "put() is called {rate:.0f} times a second, of which 30 are passed on where no fps= is given. "
    "SpyGlass(..., fps={rate:.0f}) passes all on."
)

_SILENT = ": the streaming process does not answer. It is ended if it goes on so."

TELL_SECONDS = 0.5
"""How much longer it waits to be told what was not delivered."""


class RemoteStream:
    """
    Open and close one stream in the streaming process, and keep what it says of it.

    The state decides whether frames are taken: each change of it is passed on
    to the frame writer. `open` and `close` come one at a time; everything else
    may be called from any thread.

    Args:
        frames: Takes the frames of this stream.
        outputs: Where it goes.
        logger: Where changes of state go.
        disabled: Whether it is never to be opened.

    """

    def __init__(
        self,
        frames: FrameWriter,
        outputs: Sequence[Output],
        logger: logging.Logger,
        *,
        disabled: bool = False,
    ) -> None:
        self._frames = frames
        self._outputs = outputs
        # Those whose two ends talk to each other, by their place.
        self._talking = {
            place: output
            for place, output in enumerate(outputs)
            if isinstance(output, TwoWayOutput)
        }
        self._logger = logger
        # Guards everything below. Held for moments only; taken before the
        # lock of the frame writer where both are.
        self._lock = threading.Lock()
        self._machine = (
            StateMachine(Phase.DISABLED, "BACKPACK_DISABLE is set.") if disabled else StateMachine()
        )
        frames.refuse(self._machine.phase.refusal)
        self._remote: RemoteHandle | None = None
        self._numbers = StreamNumbers()
        # None: the rate was chosen.
        self._cap: RateCap | None = None
        self._error: str | None = None

    # --- life ------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether it is open, or being opened."""
        return self._remote is not None

    def open(
        self,
        settings: StreamSettings,
        *,
        required: bool,
        gst_log_file: str | None,
        gst_log_level: str | None,
    ) -> None:
        """
        Become a resource of the streaming process, and wait for its answer.

        Raises:
            BackpackError: What keeps the stream from opening; it is closed.

        """
        remote = RemoteHandle(
            opening=lambda number: self._opening(number, settings),
            on_opened=self._on_opened,
            on_failed=self._on_failed,
            on_lost=self._on_lost,
            on_report=self._on_report,
            on_word=self._on_word,
        )
        supervisor = remote.supervisor
        supervisor.gst_log_file = gst_log_file or supervisor.gst_log_file
        supervisor.gst_log_level = gst_log_level or supervisor.gst_log_level
        self._frames.open(settings.max_fps, lambda fds: remote.send(AttachRing(remote.id), fds))
        with self._lock:
            self._remote = remote
            self._numbers = StreamNumbers()
            self._cap = None if settings.fps is not None else RateCap(settings.max_fps)
            self._error = None
            self._enter(Event.START)
        self._log_changes()
        try:
            remote.open(required=required)
        except BaseException as error:
            self._error = str(error) or None
            # Waited for: the next start must find the paths free again.
            self.close(DRAIN_SECONDS)
            raise

    def give_up(self) -> None:
        """Let an `open` that waits on another thread return."""
        remote = self._remote
        if remote is not None:
            remote.give_up()

    def close(self, timeout: float) -> None:
        """Deliver what was put before, and close the stream. Does nothing where it is not open."""
        remote = self._remote
        if remote is None:
            return
        with self._lock:
            # Before the message, so that no frame comes after it.
            self._enter(Event.STOP)
        self._log_changes()
        message = CloseStream(remote.id, min(DRAIN_SECONDS, timeout), timeout)
        # Outputs that deliver for so long still have to say how it went.
        patience = timeout + TELL_SECONDS if self._talking and timeout else timeout
        if not remote.close(message, patience) and timeout:
            why = _SILENT if remote.supervisor.is_silent else "."
            self._logger.warning("The stream was not closed within %.1f s%s", timeout, why)
        with self._lock:
            self._remote = None
            self._numbers.rest()
        self._frames.close()

    def become_forked_copy(self) -> None:
        """Let go of what belongs to the process that we were forked from."""
        # A lock that another thread held at the fork would be held for ever.
        self._lock = threading.Lock()
        self._remote = None
        self._frames.become_forked_copy()
        self._enter(Event.FORK, "This is the copy of a SpyGlass in a forked process.")

    # --- what happens ----------------------------------------------------------

    def note_frame(self) -> None:
        """Called when a frame was put; logged later, since who puts waits for no log."""
        with self._lock:
            remote = self._remote
            if self._frames.has_frame:
                self._enter(Event.FRAME)
        if remote is not None:
            remote.supervisor.later(self._log_changes)

    def _opening(
        self, number: int, settings: StreamSettings
    ) -> list[tuple[Message, Sequence[int]]]:
        for place, output in self._talking.items():
            output.connect(functools.partial(self._say, place))
        described = [output.describe() for output in self._outputs]
        descriptions = [{**one, **location_of(one)} for one in described]
        messages: list[tuple[Message, Sequence[int]]] = [
            (OpenStream(number, asdict(settings), descriptions, self._frames.last_size), ())
        ]
        fds = self._frames.copy_ring_fds()
        if fds:
            # The last frame is still in the ring: viewers see it at once.
            messages.append((AttachRing(number), fds))
        return messages

    def _on_opened(self, message: Opened) -> None:
        with self._lock:
            self._error = None
            self._frames.expect_reader(bool(message.info.get("wanted")))
            self._enter(Event.OPENED)
            if self._frames.has_frame:
                self._enter(Event.FRAME)
        self._log_changes()

    def _on_failed(self, error: BackpackError) -> None:
        # The streaming process is there and goes on counting.
        if isinstance(error, ShortageError) and self._error != str(error):
            # Raised to nobody, and nothing of ours can mend it.
            notify(self._logger, logging.WARNING, str(error))
        self._fail(error)

    def _fail(self, error: BackpackError) -> None:
        with self._lock:
            self._error = str(error)
            self._enter(Event.FAILED, str(error))
        self._log_changes()

    def _on_lost(self, error: BackpackError | None) -> None:
        if error is not None:
            self._fail(error)
            return
        told = self._numbers.outputs(len(self._outputs))
        remote = self._remote
        loss = remote.supervisor.loss if remote is not None else ""
        reason = loss or "The streaming process is being started again."
        with self._lock:
            self._enter(Event.AWAY, reason)
            self._frames.forget_reader()
            self._numbers.carry_over()
        for place, output in self._talking.items():
            output.on_worker_exit(told[place])
        self._log_changes()

    def _on_report(self, message: StreamReport) -> None:
        with self._lock:
            self._numbers.report(message.numbers)
            self._error = message.numbers.get("error")
            cap = self._cap
        if cap is not None:
            counted = self._frames.numbers()
            rate = cap.note(time.monotonic(), counted["accepted"], counted["not_due"])
            if rate is not None:
                notify(self._logger, logging.INFO, _CAPPED.format(rate=rate))

    def _say(self, place: int, body: dict[str, Any]) -> None:
        remote = self._remote
        if remote is not None:
            remote.send(ToOutput(remote.id, place, body))

    def _on_word(self, message: FromOutput) -> None:
        output = self._talking.get(message.output)
        if output is not None:
            output.on_message(message.body)

    def _enter(self, event: Event, reason: str = "") -> None:
        """Go to the state that an event leads to. Called with the lock held."""
        self._machine.enter(event, reason)
        self._frames.refuse(self._machine.phase.refusal)

    def _log_changes(self) -> None:
        """Log the changes of state. Called without the lock: a slow log must not hold it."""
        for change in self._machine.take_changes():
            self._logger.info("%s", change)

    # --- what can be asked -----------------------------------------------------

    @property
    def state(self) -> State:
        """The state."""
        return self._machine.state

    @property
    def phase(self) -> Phase:
        """What it is doing."""
        return self._machine.phase

    @property
    def reason(self) -> str:
        """Why it is in that state, or what keeps an output from delivering; empty if neither."""
        machine = self._machine
        trouble = self._error or self._frames.error or ""
        return machine.reason or ("" if machine.phase.refusal else trouble)

    def video_size(self, settings: StreamSettings) -> tuple[int | None, int | None]:
        """Return width and height of the video; before the first frame, what was asked for."""
        told = self._numbers.video_size
        if told is not None:
            return told
        size = self._frames.last_size if self._frames.has_frame else None
        return (settings.width, settings.height) if size is None else settings.video_size(*size)

    def numbers(self) -> dict[str, Any]:
        """Return what was told and counted, under the names of `Stats`."""
        with self._lock:
            numbers = {
                **self._numbers.numbers(),
                **self._frames.numbers(),
                "state": self._machine.state.name,
                "reason": self.reason,
                "error": self._error or self._frames.error,
            }
            told = self._numbers.outputs(len(self._outputs))
            remote = self._remote
        own = {place: output.numbers() for place, output in self._talking.items()}
        numbers["outputs"] = [{**one, **own.get(place, {})} for place, one in enumerate(told)]
        if remote is not None:
            pid = remote.supervisor.pid
            numbers["streamer_pid"] = pid
            numbers["streamer_cpu_seconds"] = (cpu_seconds(pid) if pid else None) or 0.0
            numbers["starts"] = remote.supervisor.starts
        return numbers
