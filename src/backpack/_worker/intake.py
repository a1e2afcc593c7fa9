"""The thread that takes the frames of a stream from its ring to its hub."""

from __future__ import annotations

import contextlib
import logging
import select
import threading
import time
from typing import TYPE_CHECKING, Any

from backpack._lib.shortage import shortage
from backpack._lib.threads import show_name
from backpack._lib.waker import Waker
from backpack._media.hub import Hub
from backpack._worker.encoder_choice import EncoderChoice
from backpack._worker.feeder import Feeder
from backpack._worker.snapshot import Snapshots
from backpack.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._ipc.ring import RingReader
    from backpack._ipc.settings import StreamSettings
    from backpack.errors import BackpackError

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_NS_PER_MS = 1_000_000

LOOK_NS = _SECOND_NS // 2
"""After each snapshot frames are wanted for so long: there may be another one soon."""

LOOK_INTERVAL_NS = _SECOND_NS // 10
"""How far apart frames are that are wanted for snapshots alone."""


class Stream:
    """
    One stream: ring, encoder, hub.

    Its intake thread does all the work and owns all state but what is handed
    to it under the lock. While nobody watches there is no encoder, and the
    thread sleeps: frames stay in the ring.

    Args:
        settings: What the application asked for.
        passed_over: Encoders that have failed in this application.
        on_ready: Called on the intake thread: with None when an encoder was
            found, with the error when none works any more.
        on_stats_changed: Called, on any thread, when the numbers are worth telling.
        on_ended: Called once on the intake thread, as the last thing that it does.
        last_size: Width and height of the application's last frame before this
            stream was opened. None: there was none.

    """

    def __init__(
        self,
        settings: StreamSettings,
        *,
        last_size: tuple[int, int] | None = None,
        passed_over: set[str],
        on_ready: Callable[[BackpackError | None], None],
        on_stats_changed: Callable[[], None],
        on_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._waker = Waker()
        self.hub = Hub(
            linger_ns=round(settings.linger_seconds * _SECOND_NS), on_change=self._waker.wake
        )
        self._on_stats_changed = on_stats_changed
        self._on_ended = on_ended
        self._is_over = False
        # Guards what other threads hand to the intake.
        self._lock = threading.Lock()
        self._new_ring: RingReader | None = None
        self._drain_by: float | None = None
        self._encoder_failure: EncoderError | None = None
        # Written by the main thread, read by the intake.
        self._interval_ns = 0
        # The intake thread's.
        self._ring: RingReader | None = None
        self._choice = EncoderChoice(settings, passed_over, on_ready)
        self._feeder = Feeder(
            settings,
            self.hub,
            self._choice,
            on_failed=self._note_failure,
            on_shown=self._note_shown,
            on_stats_changed=on_stats_changed,
            last_size=last_size,
        )
        self._snapshots = Snapshots(self._waker.wake)
        self._is_wanted = False
        # Until when somebody is taken to look at frames one by one.
        self._looked_until_ns = 0
        self._is_looked_at = False
        # What the ring says of us: whether frames are wanted, and how far apart.
        self._said: tuple[bool, int] | None = None
        # What the application says of redaction.
        self._hidden: dict[str, int] = {}
        self._fault: str | None = None
        self._thread = threading.Thread(target=self._run, name="spyglass-intake")
        self._thread.start()

    # --- for the main thread ---------------------------------------------------

    def attach_ring(self, ring: RingReader) -> None:
        """Take another ring; the one before is closed."""
        with self._lock:
            unused, self._new_ring = self._new_ring, ring
        if unused is not None:
            unused.close()
        self._waker.wake()

    def finish(self, seconds: float) -> None:
        """Encode what was put, wait at most so long for it to come out, and end."""
        with self._lock:
            if self._drain_by is None:
                self._drain_by = time.monotonic() + seconds
        self._waker.wake()

    def join(self) -> None:
        """Wait for the intake thread, after `finish`."""
        self._thread.join()

    @property
    def finished(self) -> bool:
        """Whether the intake thread does nothing any more."""
        return self._is_over

    def ask_for(self, interval_ns: int) -> None:
        """Ask the application for frames that are so far apart; 0: as it likes."""
        if interval_ns != self._interval_ns:
            self._interval_ns = interval_ns
            self._waker.wake()

    @property
    def is_wanted(self) -> bool:
        """Whether somebody watches, or did a moment ago."""
        return self._is_wanted

    def numbers(self) -> dict[str, Any]:
        """Return the numbers of the intake, under the names of `Stats`. Any thread."""
        ring = self._ring
        if ring is not None:
            # It may be closed just now: then what it said last holds.
            with contextlib.suppress(ValueError):
                self._hidden = ring.hidden()
        return {
            **self._feeder.numbers(),
            **self._hidden,
            "error": self._fault or self._choice.error,
        }

    def snapshot(self, max_width: int, then: Callable[[bytes | None], None]) -> None:
        """Ask for a JPEG of the newest put frame; see `Snapshots.ask`. Any thread."""
        self._snapshots.ask(max_width, then)

    # --- the intake thread -----------------------------------------------------

    def _run(self) -> None:
        show_name()
        try:
            self._choice.look(time.monotonic_ns())
            while not self._is_finishing():
                self._wait(self._turn())
            self._drain()
        except Exception as error:
            # Nothing of one stream may take the others along.
            logger.exception("A stream has ended by a fault of ours.")
            short = shortage(error)
            self._fault = str(short or "The stream has ended by an internal fault; see the log.")
        finally:
            self._clean_up()
            self._is_over = True
            self._on_ended()

    def _is_finishing(self) -> bool:
        return self._drain_by is not None

    def _turn(self) -> int | None:
        """Do what is due, and say when to look again; None: when something happens."""
        now_ns = time.monotonic_ns()
        self._switch_ring()
        if self._snapshots.serve(self._ring):
            self._looked_until_ns = now_ns + LOOK_NS
        self._replace_failed_encoder()
        wanted = self._update_wanted(now_ns)
        self._tell_writer(now_ns)
        if not self._choice.look(now_ns):
            return self._again_at_ns(now_ns)
        if not wanted:
            self._fit_encoder()
            return self._again_at_ns(now_ns)
        self._feed()
        return self._feeder.due_ns(now_ns)

    def _wait(self, until_ns: int | None) -> None:
        """Sleep until that time, or until a frame, a viewer or an order comes."""
        timeout_ms = None
        if until_ns is not None:
            # Rounded up: waking a moment early would make us turn in circles.
            timeout_ms = max(0, -(-(until_ns - time.monotonic_ns()) // _NS_PER_MS))
        poll = select.poll()
        poll.register(self._waker.fd, select.POLLIN)
        if self._ring is not None and (self._is_wanted or self._choice.wants_size):
            # Unwatched frames wake nobody up, but the one that tells the size.
            poll.register(self._ring.wake_fd, select.POLLIN)
        for fd, _ in poll.poll(timeout_ms):
            if fd == self._waker.fd:
                self._waker.drain()
            elif self._ring is not None:
                self._ring.drain_wake()

    def _switch_ring(self) -> None:
        with self._lock:
            ring, self._new_ring = self._new_ring, None
        if ring is None:
            return
        if self._ring is not None:
            self._ring.close()
        self._ring = ring
        self._said = None

    def _tell_writer(self, now_ns: int) -> None:
        """Say in the ring whether frames are wanted, and how far apart."""
        interval_ns = self._interval_ns
        is_looked_at = now_ns < self._looked_until_ns
        if is_looked_at != self._is_looked_at:
            self._is_looked_at = is_looked_at
            self._on_stats_changed()
        wanted = self._is_wanted
        if not wanted and is_looked_at:
            # For snapshots. Nothing is encoded for those, and few are enough.
            wanted, interval_ns = True, max(interval_ns, LOOK_INTERVAL_NS)
        if self._ring is not None and self._said != (wanted, interval_ns):
            self._said = wanted, interval_ns
            self._ring.set_wanted(wanted, interval_ns)

    def _again_at_ns(self, now_ns: int) -> int | None:
        """Return when to look again while nothing is encoded."""
        times = [self._choice.again_at_ns]
        if now_ns < self._looked_until_ns:
            times.append(self._looked_until_ns)
        return min((at_ns for at_ns in times if at_ns is not None), default=None)

    def _update_wanted(self, now_ns: int) -> bool:
        wanted = self.hub.wanted(now_ns)
        if wanted == self._is_wanted:
            return wanted
        self._is_wanted = wanted
        if self._ring is not None:
            self._feeder.skip_unseen(self._ring)
        if not wanted:
            self._feeder.close_encoder()
        self._on_stats_changed()
        return wanted

    def _fit_encoder(self) -> None:
        """Choose by the size of what will be watched, while nobody waits for it."""
        if self._ring is None or not self._choice.wants_size:
            return
        frame = self._ring.take()
        self._ring.release()
        if frame is not None:
            self._choice.fit(frame.width, frame.height)

    def _feed(self) -> None:
        try:
            self._feeder.feed(self._ring)
        except EncoderError as error:
            self._note_failure(error)

    def _note_failure(self, error: EncoderError) -> None:
        """Called when the encoder has failed. Any thread."""
        with self._lock:
            self._encoder_failure = error
        self._waker.wake()

    def _note_shown(self, number: int) -> None:
        """Called when a frame was encoded. The encoder's thread."""
        ring = self._ring
        if ring is not None:
            ring.note_shown(number)

    def _replace_failed_encoder(self) -> None:
        with self._lock:
            failure, self._encoder_failure = self._encoder_failure, None
        if failure is None or self._choice.spec is None:
            return
        self._feeder.close_encoder()
        self._choice.replace(failure)
        self.hub.request_picture()
        self._on_stats_changed()

    # --- the end ---------------------------------------------------------------

    def _drain(self) -> None:
        """Deliver what was put before the end."""
        self._switch_ring()
        seconds = max(0.0, (self._drain_by or 0.0) - time.monotonic())
        # Who has come since the last turn, or before there was any, gets it, too.
        wanted = self._update_wanted(time.monotonic_ns())
        if wanted and self._choice.spec is not None and seconds:
            try:
                self._feeder.feed_last(self._ring)
            except EncoderError as error:
                logger.warning("What was put last is not delivered: %s", error)
        self._feeder.close_encoder(drain_seconds=seconds)

    def _clean_up(self) -> None:
        self._feeder.close_encoder()
        with self._lock:
            rings = [ring for ring in (self._ring, self._new_ring) if ring is not None]
            self._ring = self._new_ring = None
        for ring in rings:
            ring.close()

    def close(self) -> None:
        """Wait for the intake thread and give back what it was woken by."""
        self.finish(0.0)
        self.join()
        self._snapshots.close()
        self._waker.close()
