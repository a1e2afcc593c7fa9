"""Hand frames over and go on: what the application holds."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
import weakref
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from backpack.errors import BackpackError, MissingDependencyError, StateError
from backpack.handover.child import cpu_seconds
from backpack.handover.frame import as_pixels, check_frame
from backpack.handover.gate import Gate, Verdict
from backpack.handover.messages import AttachRing, CloseStream, OpenStream
from backpack.handover.ring import Ring, RingWriter
from backpack.handover.tenancy import OPEN_SECONDS, Tenancy
from backpack.handover.timeline import Timeline, captured_at
from backpack.settings import StreamSettings, is_disabled
from backpack.spyglass.outputs import as_output
from backpack.spyglass.state import ACCEPTING, Event, next_state
from backpack.spyglass.state import State as _State
from backpack.spyglass.tally import Outcome, Tally
from backpack.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from numpy.typing import NDArray
    from typing_extensions import Self

    from backpack.handover.messages import Message, Opened, StreamReport
    from backpack.handover.timeline import Timestamp
    from backpack.settings import PixelFormat
    from backpack.spyglass.outputs import Output

__all__ = ["SpyGlass"]

DRAIN_SECONDS = 1.0
"""How long a stop waits for what was put before it to go out."""

_NO_WORD = memoryview(bytes(8)).cast("Q")
_ARRAY = np.ndarray
_UINT8 = np.dtype(np.uint8)
_ACCEPTED = Outcome.ACCEPTED
_NOT_WANTED = Outcome.NOT_WANTED

# Numbers of the streaming process that count from its start, and so have to
# be carried over when it is started again.
_COUNTERS = ("encoded", "repeated", "replaced", "torn", "lost")

_instances: weakref.WeakSet[SpyGlass] = weakref.WeakSet()


class SpyGlass:
    """
    Let people watch the frames that an application puts.

    Encoding and streaming run in a process of their own. `put` copies the
    frame into shared memory if somebody watches and it is due, and never
    waits. One SpyGlass is one stream: one encode, any number of outputs.

    ::

        spyglass = SpyGlass("rtsp://127.0.0.1:8554/door")
        spyglass.start_streaming()
        while running:
            spyglass.put(frame)
        spyglass.stop_streaming()

    Every method may be called from any thread.

    Args:
        outputs: Where the stream goes: URLs such as
            ``rtsp://127.0.0.1:8554/door``, or objects such as `GstSink`.
            An ``rtsp://`` URL listens; its host is an address of this machine.
        parent_logger: The logger that ours becomes a child of.
        gst_log_file: File that GStreamer's debug log goes to. There is one
            streaming process and so one file; it must be named before the
            first start.
        gst_log_level: GStreamer's debug level, as in ``GST_DEBUG``.
        dotenv_path: Taken for compatibility; read by outputs that need it.
        fps: Frames per second that pass at the most. None: 30.
        width: Width of the video, in pixels. None: that of the first frame.
        height: Height of the video, in pixels. None: that of the first frame.
        bitrate_kbps: Bits per second / 1000. None: chosen by size and rate.
        encoder: GStreamer element to encode with, for example ``"x264enc"``.
            None: the best one that passes a trial.
        linger_seconds: How long encoding goes on after the last viewer left.
        required: Whether `start_streaming` raises where streaming cannot run.
            Otherwise that is logged, and tried again.
        allow_anonymous: Whether a URL without a user may listen on an address
            that others can reach.

    Raises:
        SettingsError: A value or URL that cannot be.

    """

    State: ClassVar[type[_State]] = _State

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        *outputs: str | Output,
        parent_logger: logging.Logger | None = None,
        gst_log_file: str | os.PathLike[str] | None = None,
        gst_log_level: str | int | None = None,
        dotenv_path: str | os.PathLike[str] | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        bitrate_kbps: int | None = None,
        encoder: str | None = None,
        linger_seconds: float = 5.0,
        required: bool = False,
        allow_anonymous: bool = False,
    ) -> None:
        name = type(self).__name__
        self.logger = (
            parent_logger.getChild(name)
            if parent_logger is not None
            else logging.getLogger("backpack.spyglass")
        )
        self._settings = StreamSettings(fps, width, height, bitrate_kbps, encoder, linger_seconds)
        self._outputs = [as_output(given, allow_anonymous=allow_anonymous) for given in outputs]
        self._gst_log_file = None if gst_log_file is None else os.fspath(gst_log_file)
        self._gst_log_level = None if gst_log_level is None else str(gst_log_level)
        self.dotenv_path = None if dotenv_path is None else os.fspath(dotenv_path)
        self._required = required
        self._disabled = is_disabled()
        self._clock_ns = time.monotonic_ns
        self._wall_ns = time.time_ns
        # Set in a child that was forked while we existed.
        self._is_forked_copy = False
        # Held through a start or a stop, so that these come one after the other.
        self._life = threading.Lock()
        # Guards everything below. Held for one copy of a frame at the longest.
        self._lock = threading.Lock()
        self._state = _State.STOPPED
        self._reason = "BACKPACK_DISABLE is set." if self._disabled else ""
        self._tenancy: Tenancy | None = None
        # Changes of state that are still to be logged: a slow log must not
        # hold the lock, and with it `put`.
        self._changes: list[str] = []
        self._gate = Gate(self._settings.max_fps)
        self._timeline = Timeline()
        self._tally = Tally()
        self._writer: RingWriter | None = None
        # Until when frames like the last one cost no more than a look at one
        # word of the ring, since nobody watches. 0: look closer. What is
        # counted meanwhile, without the lock, goes into the tally later: an
        # iterator, since `+= 1` loses some between threads.
        self._quiet_until_ns = 0
        self._quiet_shape: tuple[int, ...] = ()
        self._quiet_word = _NO_WORD
        self._quiet_puts = itertools.count()
        self._quiet_ns = 0
        self._report: dict[str, Any] = {}
        self._carried = dict.fromkeys(_COUNTERS, 0)
        self._error: str | None = None
        _instances.add(self)

    # --- life ------------------------------------------------------------------

    def start_streaming(
        self, fps: float | None = None, width: int | None = None, height: int | None = None
    ) -> None:
        """
        Open the outputs; frames that are put from now on can be watched.

        Waits until the outputs are open: half a second the first time, and ten
        at the most for the stream and for each server that it starts; what
        takes longer goes on behind. A running stream is stopped first. The size
        is fixed until the next start, and made even.

        Args:
            fps: Frames per second that pass at the most. None, here and
                below: what the constructor or an earlier start said.
            width: Width of the video, in pixels.
            height: Height of the video, in pixels.

        Raises:
            SettingsError: A value that cannot be.
            AddressInUseError: Another program listens on an output's address.
            OutputError: An output cannot be opened.
            MissingDependencyError: Streaming cannot run here, and
                ``required=True`` was asked.

        """
        self._check_fork("start_streaming")
        given = {"fps": fps, "width": width, "height": height}
        asked = {name: value for name, value in given.items() if value is not None}
        with self._life:
            # Checked first: a mistake leaves a running stream as it was.
            settings = replace(self._settings, **asked)  # type: ignore[arg-type]
            self._stop(DRAIN_SECONDS)
            self._settings = settings
            if self._disabled:
                return
            with contextlib.ExitStack() as undo:
                for output in self._outputs:
                    output.hold()
                    undo.callback(output.release)
                self._open()
                undo.pop_all()

    def stop_streaming(self, timeout: float = 3.0) -> None:
        """
        Deliver what was put before, and close the outputs.

        Does nothing where it is not streaming. Delivery gets one second, and
        the whole call ``timeout`` seconds at the most.
        """
        if self._is_forked_copy:
            return
        tenancy = self._tenancy
        if tenancy is not None:
            # A start that still waits on another thread is not waited for.
            tenancy.give_up()
        with self._life:
            self._stop(timeout)

    def __enter__(self) -> Self:
        """Start streaming."""
        self.start_streaming()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop streaming."""
        self.stop_streaming()

    def _open(self) -> None:
        """Become a tenant of the streaming process. Called with `_life` held."""
        tenancy = Tenancy(
            opening=self._opening,
            on_opened=self._on_opened,
            on_lost=self._on_lost,
            on_report=self._on_report,
        )
        supervisor = tenancy.supervisor
        supervisor.gst_log_file = self._gst_log_file or supervisor.gst_log_file
        supervisor.gst_log_level = self._gst_log_level or supervisor.gst_log_level
        with self._lock:
            self._tenancy = tenancy
            self._gate = Gate(self._settings.max_fps)
            self._timeline = Timeline()
            self._report = {}
            self._carried = dict.fromkeys(_COUNTERS, 0)
            self._error = None
            self._enter(Event.START)
        self._log_changes()
        try:
            error = tenancy.open(OPEN_SECONDS)
            if error is not None:
                self._judge(error)
        except BaseException:
            # Waited for: the next start must find the paths free again.
            self._close(DRAIN_SECONDS)
            raise

    def _judge(self, error: BackpackError) -> None:
        """Raise what keeps the stream from opening, or go on without."""
        weather = isinstance(error, (MissingDependencyError, StateError))
        if self._required or not weather:
            raise error

    def _stop(self, timeout: float) -> None:
        if self._tenancy is None:
            return
        self._close(timeout)
        for output in reversed(self._outputs):
            output.release()

    def _close(self, timeout: float) -> None:
        tenancy = self._tenancy
        if tenancy is None:
            return
        with self._lock:
            # Before the goodbye, so that no frame comes after it.
            self._enter(Event.STOP)
        self._log_changes()
        goodbye = CloseStream(tenancy.id, min(DRAIN_SECONDS, timeout))
        if not tenancy.close(goodbye, timeout) and timeout:
            self.logger.warning("The stream was not closed within %.1f s.", timeout)
        with self._lock:
            self._tenancy = None
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()

    # --- frames ----------------------------------------------------------------

    def put(self, frame: NDArray[np.uint8], *, timestamp: Timestamp | None = None) -> bool:
        """
        Hand a frame over to whoever watches; never wait for them.

        Args:
            frame: ``(height, width, 3)`` `uint8` in BGR order, any strides;
                also ``(height, width, 4)`` BGRA and ``(height, width)`` gray.
                It is copied: change it afterwards as you like.
            timestamp: When it was captured: seconds since the epoch, or
                (seconds, microseconds). None: now.

        Returns:
            Whether the frame was taken. A newer one may still replace it
            before it is encoded. `stats` tells why frames were not taken:
            stopped, nobody watches, not due, streaming process away, not newer.

        Raises:
            FrameError: It is not a frame, or from the future.
            StateError: The process was forked after this object was made.

        """
        begun_ns = self._clock_ns()
        # Before all else, and without a lock: between two frames the
        # application has filled the caches with its own work, and whatever is
        # touched here has to be fetched from memory again. A frame that would
        # pass is looked at closely.
        if (
            begun_ns < self._quiet_until_ns
            and not self._quiet_word[0]
            and frame.__class__ is _ARRAY
            and frame.dtype is _UINT8
            and frame.shape == self._quiet_shape
            and timestamp is None
        ):
            next(self._quiet_puts)
            self._quiet_ns += self._clock_ns() - begun_ns
            return False
        if self._is_forked_copy:
            self._check_fork("put")
        if self._disabled:
            return False
        pixel_format = check_frame(frame)
        captured_ns = None if timestamp is None else captured_at(timestamp, self._wall_ns())
        with self._lock:
            self._count_quiet()
            outcome = self._offer(frame, pixel_format, captured_ns, begun_ns)
            self._tally.count(outcome, self._clock_ns() - begun_ns)
        if self._changes:
            self._log_later()
        return outcome is _ACCEPTED

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Put a frame: the name that `cv2.VideoWriter` has for it."""
        self.put(frame)

    def write_frame(self, frame: NDArray[np.uint8]) -> None:
        """Put a frame: the name that `supervision.VideoSink` has for it."""
        self.put(frame)

    def __call__(self, predictions: object, frame: Any) -> None:  # noqa: ANN401, ARG002
        """
        Put a frame: the form of a sink of Roboflow's `inference`.

        Args:
            predictions: Not looked at: draw them before, or pass a function
                that draws and then puts.
            frame: An array, or an object with the array as its ``image``; a
                list of them puts the first. None entries are passed over.

        """
        if isinstance(frame, (list, tuple)):
            frame = next((entry for entry in frame if entry is not None), None)
        if frame is not None:
            self.put(getattr(frame, "image", frame))

    def _offer(
        self,
        frame: NDArray[np.uint8],
        pixel_format: PixelFormat,
        captured_ns: int | None,
        now_ns: int,
    ) -> Outcome:
        """Copy the frame if it is worth it. Called with `_lock` held."""
        if self._state not in ACCEPTING:
            return Outcome.STOPPED if self._state is _State.STOPPED else Outcome.AWAY
        writer = self._writer
        if writer is None:
            verdict = self._gate.decide(now_ns, wanted=False)
        else:
            verdict = self._gate.decide(
                now_ns, wanted=writer.wanted, least_interval_ns=writer.least_interval_ns
            )
        if verdict is Verdict.NOT_DUE:
            return Outcome.NOT_DUE
        if verdict is Verdict.NOT_WANTED:
            if writer is not None:
                self._quiet_word = writer.wanted_word
                self._quiet_shape = frame.shape
                self._quiet_until_ns = self._gate.quiet_until_ns
            return Outcome.NOT_WANTED
        stamp = self._timeline.stamp(now_ns, self._wall_ns(), captured_ns)
        if stamp is None:
            return Outcome.STALE
        if writer is None or writer.ring.slot_bytes < frame.nbytes:
            try:
                writer = self._new_ring(frame.nbytes)
            except (OSError, MemoryError) as error:
                self._error = f"There is no memory to hand frames over: {error}"
                return Outcome.AWAY
        writer.write(as_pixels(frame), pixel_format, stamp)
        if self._state is not _State.STREAMING:
            self._enter(Event.FRAME)
        return Outcome.ACCEPTED

    def _new_ring(self, frame_bytes: int) -> RingWriter:
        """Make a ring that the frame fits, and send it over. Called with `_lock` held."""
        number = 1
        if self._writer is not None:
            number = self._writer.next_number
            self._end_quiet()
            self._writer.close()
            self._writer = None
        self._writer = RingWriter(Ring(frame_bytes), _view, np.copyto, number)
        if self._tenancy is not None:
            self._tenancy.send(AttachRing(self._tenancy.id), self._ring_fds())
        return self._writer

    def _ring_fds(self) -> Sequence[int]:
        ring = self._writer.ring if self._writer is not None else None
        return () if ring is None else (ring.memory_fd, ring.wake_read_fd)

    # --- what the streaming process says, on the supervisor's thread -----------

    def _opening(self, tenancy_id: int) -> list[tuple[Message, Sequence[int]]]:
        outputs = [output.describe() for output in self._outputs]
        messages: list[tuple[Message, Sequence[int]]] = [
            (OpenStream(tenancy_id, asdict(self._settings), outputs), ())
        ]
        with self._lock:
            if self._writer is not None:
                # The last frame is still in the ring: viewers see it at once.
                fds = [os.dup(fd) for fd in self._ring_fds()]
                messages.append((AttachRing(tenancy_id), fds))
        return messages

    def _on_opened(self, _: Opened) -> None:
        with self._lock:
            self._error = None
            self._enter(Event.OPENED)
            if self._writer is not None:
                self._enter(Event.FRAME)
        self._log_changes()

    def _on_lost(self, error: BackpackError | None) -> None:
        with self._lock:
            if error is None:
                self._enter(Event.AWAY, "The streaming process is being started again.")
            else:
                self._error = str(error)
                self._enter(Event.FAILED, str(error))
            if self._writer is not None:
                self._writer.forget_reader()
            for name in _COUNTERS:
                self._carried[name] += self._report.get(name, 0)
            self._report = {}
        self._log_changes()

    def _on_report(self, message: StreamReport) -> None:
        with self._lock:
            self._report = message.numbers
            self._error = message.numbers.get("error")

    # --- what can be asked -----------------------------------------------------

    @property
    def state(self) -> _State:
        """The state, one of `SpyGlass.State`."""
        return self._state

    @property
    def state_reason(self) -> str:
        """Why it is in that state, where that needs saying."""
        return self._reason

    def urls(self) -> list[str]:
        """Give the addresses at which the stream can be watched; passwords are left out."""
        return [url for output in self._outputs for url in output.urls()]

    def stats(self) -> Stats:
        """
        Give what was counted and measured until now; never waits.

        The streaming process tells its numbers once a second while somebody
        watches, and whenever viewers come or go.
        """
        with self._lock:
            self._count_quiet()
            numbers = {**self._report, **self._tally.numbers()}
            for name in _COUNTERS:
                numbers[name] = self._carried[name] + self._report.get(name, 0)
            numbers |= {
                "state": self._state.name,
                "reason": self._reason,
                "error": self._error,
            }
            tenancy = self._tenancy
        if tenancy is not None:
            pid = tenancy.supervisor.pid
            numbers["streamer_pid"] = pid
            numbers["streamer_cpu_seconds"] = (cpu_seconds(pid) if pid else None) or 0.0
            numbers["starts"] = tenancy.supervisor.starts
        return Stats(**{name: numbers[name] for name in Stats.__annotations__ if name in numbers})

    @property
    def video_fps(self) -> float | None:
        """The frame rate that was asked for, if any."""
        return self._settings.fps

    @property
    def video_width(self) -> int | None:
        """The width of the video in pixels, once it is known."""
        return self._settings.width or self._report.get("width") or None

    @property
    def video_height(self) -> int | None:
        """The height of the video in pixels, once it is known."""
        return self._settings.height or self._report.get("height") or None

    def __repr__(self) -> str:
        """Show state and addresses."""
        return f"<{type(self).__name__} {self._state.name} {' '.join(self.urls())}>"

    def _enter(self, event: Event, reason: str = "") -> None:
        """Go to the state that an event leads to. Called with `_lock` held."""
        state = next_state(self._state, event)
        if state is not self._state:
            self._changes.append(f"{self._state.name} → {state.name} {reason}".rstrip())
        self._state = state
        self._reason = reason
        self._end_quiet()

    def _count_quiet(self) -> None:
        """Add the puts that were counted without the lock. Called with `_lock` held."""
        puts, self._quiet_puts = self._quiet_puts, itertools.count()
        total_ns, self._quiet_ns = self._quiet_ns, 0
        self._tally.add(_NOT_WANTED, next(puts), total_ns)

    def _end_quiet(self) -> None:
        """Look closely at the next frame, and let go of the ring. Called with `_lock` held."""
        self._quiet_until_ns = 0
        self._quiet_word = _NO_WORD

    def _log_later(self) -> None:
        """Have the changes logged by the supervisor's thread: `put` waits for no log."""
        tenancy = self._tenancy
        if tenancy is not None:
            tenancy.supervisor.later(self._log_changes)

    def _log_changes(self) -> None:
        """Log the changes of state. Called without `_lock`."""
        while self._changes:
            with contextlib.suppress(IndexError):
                self.logger.info("%s", self._changes.pop(0))

    def _become_forked_copy(self) -> None:
        """Let go of what belongs to the process that we were forked from."""
        self._is_forked_copy = True
        # A lock that another thread held at the fork would be held for ever.
        self._lock = threading.Lock()
        self._life = threading.Lock()
        self._state = _State.STOPPED
        self._reason = "This is the copy of a SpyGlass in a forked process."
        self._tenancy = None
        self._end_quiet()
        writer, self._writer = self._writer, None
        if writer is not None:
            # Else the memory would live for as long as the fork does.
            writer.close()

    def _check_fork(self, call: str) -> None:
        if self._is_forked_copy:
            raise StateError(
                f"{call}() was called in a process that was forked from the one that made this "
                "SpyGlass. Make a new SpyGlass in the forked process."
            )


def _view(memory: Any, shape: tuple[int, ...], offset: int) -> NDArray[np.uint8]:  # noqa: ANN401
    """Make an array over the ring's memory."""
    array: NDArray[np.uint8] = np.ndarray(shape, np.uint8, memory, offset)
    return array


def _after_fork_in_child() -> None:
    for instance in list(_instances):
        instance._become_forked_copy()  # noqa: SLF001 - our own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
