"""Take the frames that the application puts, and write those that are worth it into the ring."""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._app.frame import as_pixels, check_frame, ring_view
from backpack._app.frame_gate import FrameGate, Verdict
from backpack._app.put_counters import Outcome, PutCounters
from backpack._app.timeline import Timeline, captured_at
from backpack._ipc.ring import Ring, RingWriter
from backpack._lib.shortage import shortage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from backpack._app.redaction.redactor import Redactor
    from backpack._app.timeline import Timestamp
    from backpack._ipc.settings import PixelFormat

_NO_WORD = memoryview(bytes(8)).cast("Q")
_ARRAY = np.ndarray
_UINT8 = np.dtype(np.uint8)
_NOT_WANTED = Outcome.NOT_WANTED
_UNSEEN = frozenset({Outcome.DISABLED, Outcome.FORKED})

_SAMPLING = 7
"""Of the quiet puts every eighth is timed; those whose number has none of these bits."""


class FrameWriter:
    """
    Put frames into shared memory for whoever watches, and count what became of each.

    It knows nothing of states, outputs or processes: it is told whether frames
    are to be taken (`open`, `refuse`, `close`) and hands each new ring on.

    Any thread may call any method. The lock is held for one copy of a frame at
    the longest, and nothing is called under it that waits. Who holds a lock of
    their own takes ours second.

    Args:
        max_fps: Frames per second that pass at the most, until `open`.
        redactor: Decides what of a frame is hidden. Used under our lock.

    """

    def __init__(self, max_fps: float, redactor: Redactor) -> None:
        self._redactor = redactor
        self._clock_ns = time.monotonic_ns
        self._wall_ns = time.time_ns
        # Guards everything below but what counts the quiet puts.
        self._lock = threading.Lock()
        # What becomes of every frame. None: each is looked at.
        self._refusal: Outcome | None = Outcome.STOPPED
        self._gate = FrameGate(max_fps)
        self._timeline = Timeline()
        self._counters = PutCounters()
        self._writer: RingWriter | None = None
        # With what a new ring begins: the number of its first frame, and
        # whether that is waited for.
        self._next_number = 1
        self._is_awaited = False
        # The ring that a frame was already written into.
        self._measured: RingWriter | None = None
        self._attach: Callable[[Sequence[int]], None] | None = None
        self._error: str | None = None
        self._last_size: tuple[int, int] | None = None
        # Until when frames like the last one cost no more than a look at one
        # word of the ring, since nobody watches. 0: look closer. What is
        # counted meanwhile, without the lock, is added to the counters later: an
        # iterator, since `+= 1` loses some between threads.
        self._quiet_until_ns = 0
        self._quiet_shape: tuple[int, ...] = ()
        self._quiet_word = _NO_WORD
        self._quiet_puts = itertools.count()
        # What some of them took: a look at the clock is a third of the whole.
        self._quiet_ns = 0
        self._quiet_samples = 0

    # --- life ------------------------------------------------------------------

    def open(self, max_fps: float, attach: Callable[[Sequence[int]], None]) -> None:
        """
        Begin a stream: the next frame is its first one.

        Args:
            max_fps: Frames per second that pass at the most.
            attach: Takes the descriptors of each ring that is made, memory and
                wake pipe, copies them and does not wait.

        """
        with self._lock:
            self._gate = FrameGate(max_fps)
            self._timeline = Timeline()
            self._attach = attach
            self._next_number = 1
            self._is_awaited = False
            self._error = None

    def expect_reader(self, wanted: bool) -> None:  # noqa: FBT001
        """Note whether the streaming process will want every frame from the first one on."""
        with self._lock:
            self._is_awaited = wanted

    def refuse(self, outcome: Outcome | None) -> None:
        """Take no frames from now on, and count them so. None: take them again."""
        with self._lock:
            self._refusal = outcome
            self._end_quiet()

    def forget_reader(self) -> None:
        """Take back what a streaming process said in the ring that has gone."""
        with self._lock:
            self._is_awaited = False
            if self._writer is not None:
                self._writer.forget_reader()

    def close(self) -> None:
        """Release the ring."""
        with self._lock:
            self._let_go()
            self._attach = None

    def become_forked_copy(self) -> None:
        """Let go of the ring in a forked child, where it belongs to the parent."""
        # One that another thread held at the fork would be held for ever.
        self._lock = threading.Lock()
        # Else the memory would live for as long as the fork does.
        self.close()

    # --- frames ----------------------------------------------------------------

    def put(
        self,
        frame: NDArray[np.uint8],
        timestamp: Timestamp | None = None,
        redact: object = None,
    ) -> Outcome:
        """
        Take a frame if it is worth it, and return what became of it.

        Raises:
            FrameError: It is not a frame, or from the future.

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
            # Where something hidden was is remembered also of frames that nobody sees.
            and redact is None
        ):
            if not next(self._quiet_puts) & _SAMPLING:
                self._quiet_ns += self._clock_ns() - begun_ns
                self._quiet_samples += 1
            return _NOT_WANTED
        refusal = self._refusal
        if refusal in _UNSEEN:
            return refusal
        pixel_format = check_frame(frame)
        captured_ns = None if timestamp is None else captured_at(timestamp, self._wall_ns())
        with self._lock:
            self._count_quiet()
            outcome = self._offer(frame, pixel_format, captured_ns, begun_ns, redact)
            self._counters.count(outcome, self._clock_ns() - begun_ns)
        return outcome

    def _offer(
        self,
        frame: NDArray[np.uint8],
        pixel_format: PixelFormat,
        captured_ns: int | None,
        now_ns: int,
        redact: object,
    ) -> Outcome:
        """Copy the frame if it is worth it. Called with the lock held."""
        if self._refusal is not None:
            return self._refusal
        pixels = as_pixels(frame)
        fill = self._redactor.look(redact, pixels.shape[1], pixels.shape[0], now_ns)
        writer = self._writer
        if writer is None:
            verdict = self._gate.decide(now_ns, wanted=self._is_awaited)
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
            return _NOT_WANTED
        stamp = self._timeline.stamp(now_ns, self._wall_ns(), captured_ns)
        if stamp is None:
            return Outcome.STALE
        if writer is None or writer.ring.slot_bytes < frame.nbytes:
            try:
                writer = self._new_ring(frame.nbytes)
            except (OSError, MemoryError) as error:
                self._error = f"Frames cannot be handed over: {shortage(error) or error}"
                return Outcome.AWAY
        is_idle = not writer.wanted and writer is self._measured
        writer.write(pixels, pixel_format, stamp, fill)
        self._tell_hidden(writer)
        self._last_size = frame.shape[1], frame.shape[0]
        if is_idle:
            self._gate.note_copy(self._clock_ns() - now_ns)
        # The first one into a ring has also made it.
        self._measured = writer
        return Outcome.ACCEPTED

    def _tell_hidden(self, writer: RingWriter) -> None:
        redactor = self._redactor
        if redactor.redacted or redactor.blanked:
            writer.note_hidden(redactor.redacted, redactor.blanked)

    def _new_ring(self, frame_bytes: int) -> RingWriter:
        """Make a ring that the frame fits, and hand it on. Called with the lock held."""
        interval_ns = 0
        if self._writer is not None:
            self._next_number = self._writer.next_number
            self._is_awaited = self._writer.wanted
            interval_ns = self._writer.least_interval_ns
        self._let_go()
        writer = RingWriter(Ring(frame_bytes), ring_view, np.copyto, self._next_number)
        # Else the frames until the streaming process has attached would be
        # lost to an output that wants them all.
        writer.expect_reader(self._is_awaited, interval_ns)
        self._tell_hidden(writer)
        self._writer = writer
        if self._attach is not None:
            try:
                self._attach(self._ring_fds())
            except OSError:
                # Nobody would ever say that its frames are not wanted.
                self._let_go()
                raise
        self._error = None
        return writer

    # --- what can be asked -----------------------------------------------------

    @property
    def has_frame(self) -> bool:
        """Whether a frame is in the ring: viewers see it at once."""
        return self._writer is not None

    @property
    def last_size(self) -> tuple[int, int] | None:
        """Width and height of the last frame that was taken, also of an earlier stream."""
        return self._last_size

    @property
    def is_wanted(self) -> bool:
        """Whether the streaming process says that it wants frames."""
        writer = self._writer
        return writer is not None and writer.wanted

    @property
    def error(self) -> str | None:
        """Say why no frame can be handed over, where that is so."""
        return self._error

    def copy_ring_fds(self) -> list[int]:
        """Return copies of the ring's descriptors, the receiver's to close; none without a ring."""
        with self._lock:
            return [os.dup(fd) for fd in self._ring_fds()]

    def numbers(self) -> dict[str, Any]:
        """Return what was counted, under the names of `Stats`."""
        with self._lock:
            self._count_quiet()
            return {
                **self._counters.numbers(),
                "redacted": self._redactor.redacted,
                "blanked": self._redactor.blanked,
            }

    # --- with the lock held ----------------------------------------------------

    def _ring_fds(self) -> Sequence[int]:
        if self._writer is None:
            return ()
        return (self._writer.ring.memory_fd, self._writer.ring.wake_read_fd)

    def _let_go(self) -> None:
        self._end_quiet()
        writer, self._writer = self._writer, None
        self._measured = None
        if writer is not None:
            writer.close()

    def _count_quiet(self) -> None:
        """Add the puts that were counted without the lock."""
        puts, self._quiet_puts = self._quiet_puts, itertools.count()
        count = next(puts)
        took_ns = self._quiet_ns // max(1, self._quiet_samples)
        self._quiet_ns = self._quiet_samples = 0
        self._counters.add(_NOT_WANTED, count, count * took_ns)

    def _end_quiet(self) -> None:
        """Look closely at the next frame, and let go of the ring."""
        self._quiet_until_ns = 0
        self._quiet_word = _NO_WORD
