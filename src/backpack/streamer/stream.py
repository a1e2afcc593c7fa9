"""Bring the frames of one stream from its ring to its hub."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backpack.encoding.encoder import Encoder
from backpack.encoding.trial import choose
from backpack.errors import BackpackError, EncoderError
from backpack.handover.backoff import Backoff
from backpack.hub.hub import Hub
from backpack.hub.unit import AccessUnit
from backpack.redaction import Picture, Redaction
from backpack.streamer.cadence import Action, Cadence
from backpack.streamer.card import Card
from backpack.streamer.meter import Meter
from backpack.streamer.size import stream_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.encoding.encoder import EncodedPicture
    from backpack.encoding.encoders import EncoderSpec
    from backpack.handover.ring import RingFrame, RingReader
    from backpack.settings import StreamSettings

__all__ = ["Stream"]

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_NS_PER_MS = 1_000_000
_STEP_NS = 1_000
_READY_SECONDS = 0.5
_RETRY_NS = 20_000_000
_MOST_INSIDE = 64

FRESH_NS = 2 * _SECOND_NS
"""A frame that nobody was there to see is shown with its own time for so long."""


@dataclass(frozen=True)
class _Tag:
    """What an encoder does not carry: the rest of an access unit."""

    wall_ns: int
    number: int
    repeat: bool
    epoch: int


class Stream:
    """
    One stream: ring, redaction, encoder, hub.

    Its intake thread does all the work and owns all state but what is handed
    to it under the lock. While nobody watches there is no encoder, and the
    thread sleeps: frames stay in the ring.

    Args:
        settings: What the application asked for.
        passed_over: Encoders that have failed in this application.
        on_ready: Called on the intake thread: with None when an encoder was
            found, with the error when none works any more.
        on_news: Called, on any thread, when the numbers are worth telling.

    """

    def __init__(
        self,
        settings: StreamSettings,
        *,
        passed_over: set[str],
        on_ready: Callable[[BackpackError | None], None],
        on_news: Callable[[], None],
    ) -> None:
        self.settings = settings
        self.hub = Hub(linger_ns=round(settings.linger_seconds * _SECOND_NS), on_change=self._kick)
        self._passed_over = passed_over
        self._on_ready = on_ready
        self._on_news = on_news
        self._kick_lock = threading.Lock()
        self._kick_read, self._kick_write = os.pipe()
        os.set_blocking(self._kick_read, False)
        os.set_blocking(self._kick_write, False)
        # Guards what other threads hand to the intake.
        self._lock = threading.Lock()
        self._new_ring: RingReader | None = None
        self._drain_by: float | None = None
        self._encoder_failure: EncoderError | None = None
        # Written by the main thread, read by the intake.
        self._interval_ns = 0
        # The intake thread's.
        self._ring: RingReader | None = None
        self._encoder: Encoder | None = None
        self._spec: EncoderSpec | None = None
        # When to look for an encoder again, after none was found.
        self._choose_at_ns = 0
        self._patience = Backoff(5.0, 60.0)
        self._size: tuple[int, int] | None = None
        self._card: Card | None = None
        self._shows_card = False
        self._redaction = Redaction()
        self._cadence = Cadence()
        self._is_wanted = False
        self._told_interval_ns = 0
        self._last_number = 0
        self._last_pts_ns = 0
        # Times of the last put frame, and when it was encoded: a repeat is as
        # late as its frame was.
        self._last_frame_ns = (0, 0)
        self._last_encoded_ns = 0
        self._last_epoch = 0
        # A key frame, or a newcomer's picture, that was asked for and is still
        # to be made: the picture that was to be it was torn.
        self._owes_key = False
        self._owes_picture = False
        # Written by the intake, read by the encoder's thread.
        self._tags: dict[int, _Tag] = {}
        # Numbers; each written by one thread.
        self._meter = Meter()
        self._counts = {"encoded": 0, "repeated": 0, "replaced": 0, "torn": 0}
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name="spyglass-intake")
        self._thread.start()

    # --- for the main thread ---------------------------------------------------

    def attach_ring(self, ring: RingReader) -> None:
        """Take another ring; the one before is closed."""
        with self._lock:
            unused, self._new_ring = self._new_ring, ring
        if unused is not None:
            unused.close()
        self._kick()

    def finish(self, seconds: float) -> None:
        """Encode what was put, wait at most so long for it to come out, and end."""
        with self._lock:
            if self._drain_by is None:
                self._drain_by = time.monotonic() + seconds
        self._kick()

    def join(self) -> None:
        """Wait for the intake thread, after `finish`."""
        self._thread.join()

    @property
    def finished(self) -> bool:
        """Tell whether the intake thread has ended."""
        return not self._thread.is_alive()

    def ask_for(self, interval_ns: int) -> None:
        """Ask the application for frames that are so far apart; 0: as it likes."""
        if interval_ns != self._interval_ns:
            self._interval_ns = interval_ns
            self._kick()

    @property
    def is_wanted(self) -> bool:
        """Tell whether somebody watches, or did a moment ago."""
        return self._is_wanted

    def numbers(self) -> dict[str, Any]:
        """Give the numbers of the intake, under the names of `Stats`."""
        width, height = self._size or (0, 0)
        encoder = self._encoder
        return {
            **self._counts,
            **self._meter.numbers(time.monotonic_ns()),
            "encoder": None if encoder is None else encoder.spec.name,
            "width": width,
            "height": height,
            "error": self._error,
        }

    # --- the intake thread -----------------------------------------------------

    def _kick(self) -> None:
        """Wake the intake thread. Any thread."""
        with self._kick_lock, contextlib.suppress(BlockingIOError):
            # The hub may outlive us: another file may have our number by then.
            if self._kick_write >= 0:
                os.write(self._kick_write, b"\1")

    def _run(self) -> None:
        try:
            self._choose_encoder()
            while not self._is_finishing():
                self._wait(self._turn())
            self._drain()
        except Exception:
            # Nothing of one stream may take the others along.
            logger.exception("A stream has ended by a fault of ours.")
            self._error = "The stream has ended by an internal fault; see the log."
        finally:
            self._clean_up()

    def _is_finishing(self) -> bool:
        return self._drain_by is not None

    def _choose_encoder(self) -> None:
        """Find an encoder before anybody asks for a picture, or say that there is none."""
        try:
            self._spec = choose(self.settings.encoder, self._passed_over)
        except BackpackError as error:
            self._spec = None
            self._error = str(error)
            # What failed for want of memory or of a device may work later.
            self._passed_over.clear()
            wait_ns = round(self._patience.next_wait() * _SECOND_NS)
            self._choose_at_ns = time.monotonic_ns() + wait_ns
            self._on_ready(error)
        else:
            self._on_ready(None)

    def _turn(self) -> int | None:
        """Do what is due, and say when to look again; None: when something happens."""
        now_ns = time.monotonic_ns()
        self._switch_ring()
        self._pass_interval_on()
        self._replace_failed_encoder()
        wanted = self._update_wanted(now_ns)
        if self._spec is None:
            if now_ns < self._choose_at_ns:
                return self._choose_at_ns
            self._choose_encoder()
        if not wanted or self._spec is None:
            return self._choose_at_ns if self._spec is None else None
        self._feed()
        if self._owes_picture:
            return now_ns + _RETRY_NS
        repeat_ns = self._cadence.wake_at(self.hub.next_key_request_ns)
        linger_ns = self.hub.wanted_until(now_ns)
        # Without either, the encoder did not take a picture: soon again.
        times = [at_ns for at_ns in (repeat_ns, linger_ns) if at_ns is not None]
        return min(times, default=now_ns + _RETRY_NS)

    def _wait(self, until_ns: int | None) -> None:
        """Sleep until that time, or until a frame, a viewer or an order comes."""
        timeout_ms = None
        if until_ns is not None:
            # Rounded up: waking a moment early would make us turn in circles.
            timeout_ms = max(0, -(-(until_ns - time.monotonic_ns()) // _NS_PER_MS))
        poll = select.poll()
        poll.register(self._kick_read, select.POLLIN)
        if self._is_wanted and self._ring is not None:
            # Unwatched frames wake nobody up.
            poll.register(self._ring.wake_fd, select.POLLIN)
        for fd, _ in poll.poll(timeout_ms):
            if fd == self._kick_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._kick_read, 4096)
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
        ring.set_wanted(self._is_wanted, self._told_interval_ns)

    def _pass_interval_on(self) -> None:
        if self._interval_ns != self._told_interval_ns:
            self._told_interval_ns = self._interval_ns
            if self._ring is not None:
                self._ring.set_wanted(self._is_wanted, self._told_interval_ns)

    def _update_wanted(self, now_ns: int) -> bool:
        wanted = self.hub.wanted(now_ns)
        if wanted == self._is_wanted:
            return wanted
        self._is_wanted = wanted
        if self._ring is not None:
            self._ring.set_wanted(wanted, self._told_interval_ns)
            # What nobody was there to see was not replaced.
            self._last_number = max(self._last_number, self._ring.latest_number() - 1)
        if not wanted:
            self._close_encoder()
        self._on_news()
        return wanted

    def _feed(self) -> None:
        """Give the encoder what it gets next, if anything."""
        encoder = self._encoder
        if encoder is not None and not encoder.wait_until_ready(_READY_SECONDS):
            return
        now_ns = time.monotonic_ns()
        frame = self._take_frame()
        fresh = frame is not None and frame.number > self._last_number
        if fresh and self._cadence.wake_at() is None and frame is not None:
            # Put long before anybody came: shown, but as a repeat.
            fresh = now_ns - frame.mono_ns < FRESH_NS
        self._owes_picture = self.hub.take_newcomer() or self._owes_picture
        action = self._cadence.decide(
            now_ns,
            fresh=fresh,
            newcomer=self._owes_picture,
            key_due_ns=self.hub.next_key_request_ns,
        )
        try:
            if action is Action.FRAME and frame is not None:
                self._encode_frame(frame, now_ns)
            elif action is Action.REPEAT:
                self._encode_repeat(frame, now_ns)
        except EncoderError as error:
            self._note_failure(error)
        finally:
            if self._ring is not None:
                self._ring.release()

    def _take_frame(self) -> RingFrame | None:
        return None if self._ring is None else self._ring.take()

    def _encode_frame(self, frame: RingFrame, now_ns: int) -> None:
        pts_ns = max(frame.mono_ns, self._last_pts_ns + _STEP_NS)
        tag = _Tag(frame.wall_ns, frame.number, repeat=False, epoch=frame.epoch)
        if not self._encode_picture(frame, pts_ns, tag, now_ns, Action.FRAME):
            return
        self._counts["encoded"] += 1
        self._counts["replaced"] += max(0, frame.number - self._last_number - 1)
        self._remember(frame, now_ns)

    def _encode_repeat(self, frame: RingFrame | None, now_ns: int) -> None:
        """Show the last put frame again, or the card where there is none."""
        mono_ns, wall_ns = self._last_frame_ns
        late_ns = self._last_encoded_ns - mono_ns if self._last_number and mono_ns else 0
        pts_ns = now_ns - late_ns
        pts_ns = max(pts_ns - pts_ns % _STEP_NS, self._last_pts_ns + _STEP_NS)
        wall_ns = wall_ns + pts_ns - mono_ns if mono_ns else time.time_ns()
        tag = _Tag(wall_ns, self._last_number, repeat=True, epoch=self._last_epoch)
        if frame is not None and frame.number > self._last_number:
            tag = _Tag(time.time_ns(), frame.number, repeat=True, epoch=frame.epoch)
            done = self._encode_picture(frame, pts_ns, tag, now_ns, Action.REPEAT)
            if done:
                self._remember(frame, now_ns)
                # From now on its time is the one that it was shown with.
                self._last_frame_ns = (pts_ns, tag.wall_ns)
        elif self._encoder is not None and self._cadence.wake_at() is not None:
            done = self._repeat_last(pts_ns, tag, now_ns)
        elif frame is not None:
            done = self._encode_picture(frame, pts_ns, tag, now_ns, Action.REPEAT)
        else:
            done = self._encode_card(pts_ns, tag, now_ns)
        self._counts["repeated"] += done

    def _remember(self, frame: RingFrame, now_ns: int) -> None:
        self._last_number = frame.number
        self._last_frame_ns = (frame.mono_ns, frame.wall_ns)
        self._last_encoded_ns = now_ns
        self._last_epoch = frame.epoch

    def _encode_picture(
        self, frame: RingFrame, pts_ns: int, tag: _Tag, now_ns: int, action: Action
    ) -> bool:
        ring = self._ring
        if ring is None:
            return False
        if self._size is None or self._shows_card:
            self._use_size(stream_size(self.settings, frame.width, frame.height))
            self._shows_card = False
        picture = Picture(
            frame.address, frame.stride, frame.width, frame.height, frame.pixel_format
        )
        was_valid = True

        def still_valid() -> bool:
            nonlocal was_valid
            was_valid = ring.still_valid(frame)
            return was_valid

        done = self._encode(picture, pts_ns, tag, now_ns, action, still_valid)
        self._counts["torn"] += not was_valid
        return done

    def _encode_card(self, pts_ns: int, tag: _Tag, now_ns: int) -> bool:
        if self._size is None:
            self._use_size(stream_size(self.settings, None, None))
        width, height = self._size or (0, 0)
        if self._card is None:
            self._card = Card(width, height)
        self._shows_card = True
        card = self._card.picture
        return self._encode(card, pts_ns, tag, now_ns, Action.REPEAT, lambda: True)

    def _encode(
        self,
        picture: Picture,
        pts_ns: int,
        tag: _Tag,
        now_ns: int,
        action: Action,
        still_valid: Callable[[], bool],
    ) -> bool:
        encoder = self._encoder or self._make_encoder()
        key = self._needs_key(now_ns, action, tag)
        self._tag(pts_ns, tag)
        clean = self._redaction.clean(picture)
        done = encoder.encode(clean, pts_ns, key=key, still_valid=still_valid)
        return self._settle(now_ns, pts_ns, action, tag, key=key, done=done)

    def _repeat_last(self, pts_ns: int, tag: _Tag, now_ns: int) -> bool:
        key = self._needs_key(now_ns, Action.REPEAT, tag)
        self._tag(pts_ns, tag)
        done = self._encoder is not None and self._encoder.repeat(pts_ns, key=key)
        return self._settle(now_ns, pts_ns, Action.REPEAT, tag, key=key, done=done)

    def _needs_key(self, now_ns: int, action: Action, tag: _Tag) -> bool:
        return self._cadence.needs_key(
            now_ns,
            action,
            asked=self.hub.take_key_request(now_ns) or self._owes_key,
            repeats_refused=self.hub.keeps_no_repeats,
            epoch=tag.epoch,
        )

    def _settle(
        self, now_ns: int, pts_ns: int, action: Action, tag: _Tag, *, key: bool, done: bool
    ) -> bool:
        """Note whether the encoder took a picture; what was asked of it is owed otherwise."""
        self._owes_key = key and not done
        if done:
            self._owes_picture = False
            self._last_pts_ns = pts_ns
            self._cadence.done(now_ns, action, key=key, epoch=tag.epoch)
        else:
            self._tags.pop(pts_ns, None)
        return done

    def _tag(self, pts_ns: int, tag: _Tag) -> None:
        self._tags[pts_ns] = tag
        while len(self._tags) > _MOST_INSIDE:
            # What an encoder has dropped never comes out.
            del self._tags[next(iter(self._tags))]

    # --- the encoder -----------------------------------------------------------

    def _use_size(self, size: tuple[int, int]) -> None:
        """Fix the size of the video; the card may have had another one."""
        if size != self._size:
            self._close_encoder()
            self._size = size
            self._card = None
            self._on_news()

    def _make_encoder(self) -> Encoder:
        assert self._spec is not None  # noqa: S101 - asked by `_turn`
        width, height = self._size or (0, 0)
        self._cadence.restart()
        self._encoder = Encoder(
            self._spec,
            width=width,
            height=height,
            fps=self.settings.fps,
            bitrate_kbps=self.settings.bitrate_kbps,
            on_picture=self._on_picture,
            on_failed=self._note_failure,
        )
        self._on_news()
        return self._encoder

    def _close_encoder(self, drain_seconds: float = 0.0) -> None:
        encoder, self._encoder = self._encoder, None
        self._cadence.restart()
        if encoder is not None:
            encoder.close(drain_seconds)

    def _note_failure(self, error: EncoderError) -> None:
        """Learn that the encoder has failed. Any thread."""
        with self._lock:
            self._encoder_failure = error
        self._kick()

    def _replace_failed_encoder(self) -> None:
        """Go on with the next encoder of the table when one has failed."""
        with self._lock:
            failure, self._encoder_failure = self._encoder_failure, None
        if failure is None or self._spec is None:
            return
        self._error = str(failure)
        self._close_encoder()
        if self.settings.encoder is None:
            logger.warning("%s It is passed over from now on.", failure)
            self._passed_over.add(self._spec.name)
        else:
            logger.warning("%s It was asked for and is started again.", failure)
            time.sleep(_READY_SECONDS)
        self._choose_encoder()
        self.hub.request_picture()
        self._on_news()

    def _on_picture(self, encoded: EncodedPicture) -> None:
        """Give an encoded picture to the outputs. On GStreamer's thread."""
        tag = self._tags.pop(encoded.pts_ns, None)
        if tag is None:
            logger.debug("A picture came out of the encoder that did not go in.")
            return
        self._meter.count(time.monotonic_ns(), len(encoded.data))
        self.hub.publish(
            AccessUnit(
                encoded.data,
                encoded.key,
                encoded.pts_ns,
                tag.wall_ns,
                tag.number,
                tag.repeat,
                tag.epoch,
            )
        )

    # --- the end ---------------------------------------------------------------

    def _drain(self) -> None:
        """Deliver what was put before the end."""
        self._switch_ring()
        seconds = max(0.0, (self._drain_by or 0.0) - time.monotonic())
        if self._is_wanted and self._spec is not None and seconds:
            frame = self._take_frame()
            if frame is not None and frame.number > self._last_number:
                self._feed()
        self._close_encoder(drain_seconds=seconds)

    def _clean_up(self) -> None:
        self._close_encoder()
        with self._lock:
            rings = [ring for ring in (self._ring, self._new_ring) if ring is not None]
            self._ring = self._new_ring = None
        for ring in rings:
            ring.close()

    def close(self) -> None:
        """Wait for the intake thread and give back what it was woken by."""
        self.finish(0.0)
        self.join()
        with self._kick_lock:
            if self._kick_write >= 0:
                os.close(self._kick_read)
                os.close(self._kick_write)
            self._kick_read = self._kick_write = -1
