"""Decides what the encoder gets next: a frame, a repeat, or the placeholder."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from backpack._media.access_unit import AccessUnit
from backpack._media.picture import Picture
from backpack._worker.cadence import Action, Cadence
from backpack._worker.encoding.encoder import Encoder
from backpack._worker.encoding.meter import Meter
from backpack._worker.encoding.sei import REPEAT, with_user_data
from backpack._worker.placeholder import Placeholder
from backpack._worker.timestamps import PictureTimes, Tags

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._ipc.ring import RingFrame, RingReader
    from backpack._ipc.settings import StreamSettings
    from backpack._media.hub import Hub
    from backpack._worker.encoder_choice import EncoderChoice
    from backpack._worker.encoding.encoder import EncodedPicture
    from backpack._worker.timestamps import Tag
    from backpack.errors import EncoderError

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_READY_SECONDS = 0.5
_RETRY_NS = 20_000_000

FRESH_NS = 2 * _SECOND_NS
"""A frame that nobody was there to see is shown with its own time for so long."""


class Feeder:
    """
    Keep the encoder of a watched stream fed.

    The encoder is made with the first picture that needs it, and is closed by
    whoever finds that nobody watches. What it makes goes to the hub.

    Everything is called by the intake's thread, but for `numbers`.

    Args:
        settings: What the application asked for.
        hub: Where the pictures go, and who says what viewers wait for.
        choice: Says which encoder; it has found one when `feed` is called.
        on_failed: Called, on any thread, when the encoder has failed.
        on_shown: Called, on the encoder's thread, with the number of a put
            frame that has gone to the hub.
        on_stats_changed: Called when the numbers are worth telling.
        last_size: Width and height of the application's last frame before this
            stream was opened, for the placeholder: who comes before the first frame
            then sees no other size than later. None: there was none.

    """

    def __init__(
        self,
        settings: StreamSettings,
        hub: Hub,
        choice: EncoderChoice,
        *,
        last_size: tuple[int, int] | None,
        on_failed: Callable[[EncoderError], None],
        on_shown: Callable[[int], None],
        on_stats_changed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._hub = hub
        self._choice = choice
        self._on_failed = on_failed
        self._on_shown = on_shown
        self._on_stats_changed = on_stats_changed
        self._encoder: Encoder | None = None
        self._size: tuple[int, int] | None = None
        self._last_size = last_size or (None, None)
        self._card: Placeholder | None = None
        self._shows_card = False
        self._cadence = Cadence()
        self._times = PictureTimes()
        # A key frame, or a new viewer's picture, that was asked for and is still
        # to be made: the picture that was to be it was torn.
        self._owes_key = False
        self._owes_picture = False
        # Written here, read by the encoder's thread.
        self._tags = Tags()
        # Numbers; each written by one thread.
        self._meter = Meter()
        self._counts = {"encoded": 0, "repeated": 0, "replaced": 0, "torn": 0}

    def numbers(self) -> dict[str, Any]:
        """Return what was counted and measured, under the names of `Stats`. Any thread."""
        width, height = self._size or (0, 0)
        encoder = self._encoder
        return {
            **self._counts,
            **self._meter.numbers(time.monotonic_ns()),
            "encoder": None if encoder is None else encoder.spec.name,
            "width": width,
            "height": height,
        }

    def skip_unseen(self, ring: RingReader) -> None:
        """Begin with the newest frame: what nobody was there to see was not replaced."""
        self._times.pass_over(ring.latest_number() - 1)

    def feed(self, ring: RingReader | None) -> None:
        """
        Pass the encoder what it gets now, if anything.

        Raises:
            EncoderError: It does not start.

        """
        encoder = self._encoder
        if encoder is not None and not encoder.wait_until_ready(_READY_SECONDS):
            return
        now_ns = time.monotonic_ns()
        frame = None if ring is None else ring.take()
        try:
            shown_number = 0 if ring is None else ring.shown_number
            action = self._decide(frame, shown_number, now_ns)
            if action is Action.FRAME and frame is not None:
                self._encode_frame(ring, frame, now_ns)
            elif action is Action.REPEAT:
                self._encode_repeat(ring, frame, now_ns)
        finally:
            if ring is not None:
                ring.release()

    def feed_last(self, ring: RingReader | None) -> None:
        """Encode what was put before the end, and nothing for viewers."""
        frame = None if ring is None else ring.take()
        if frame is not None and self._times.is_new(frame):
            self.feed(ring)

    def due_ns(self, now_ns: int) -> int:
        """Return when to feed again if nothing comes before."""
        if self._owes_picture:
            return now_ns + _RETRY_NS
        repeat_ns = self._cadence.wake_at(self._hub.next_key_request_ns)
        linger_ns = self._hub.wanted_until(now_ns)
        # Without either, the encoder did not take a picture: soon again.
        times = [at_ns for at_ns in (repeat_ns, linger_ns) if at_ns is not None]
        return min(times, default=now_ns + _RETRY_NS)

    def close_encoder(self, drain_seconds: float = 0.0) -> None:
        """Encode no more, until `feed` is called again."""
        encoder, self._encoder = self._encoder, None
        self._cadence.restart()
        if encoder is not None:
            encoder.close(drain_seconds)
        self._meter.forget()

    # --- what it gets ----------------------------------------------------------

    def _decide(self, frame: RingFrame | None, shown_number: int, now_ns: int) -> Action:
        fresh = frame is not None and self._times.is_new(frame)
        if fresh and frame is not None and frame.number <= shown_number:
            # By the streaming process before this one: it is in recordings already.
            fresh = False
        if fresh and self._cadence.wake_at() is None and frame is not None:
            # Put long before anybody came: shown, but as a repeat.
            fresh = now_ns - frame.mono_ns < FRESH_NS
        self._owes_picture = self._hub.take_new_viewer() or self._owes_picture
        return self._cadence.decide(
            now_ns,
            fresh=fresh,
            new_viewer=self._owes_picture,
            key_due_ns=self._hub.next_key_request_ns,
        )

    def _encode_frame(self, ring: RingReader | None, frame: RingFrame, now_ns: int) -> None:
        replaced = self._times.replaced_by(frame)
        if self._show_frame(ring, frame, self._times.of_frame(frame), now_ns):
            self._counts["encoded"] += 1
            self._counts["replaced"] += replaced

    def _encode_repeat(self, ring: RingReader | None, frame: RingFrame | None, now_ns: int) -> None:
        """Show the last put frame again, or the placeholder where there is none."""
        wall_now_ns = time.time_ns()
        tag = self._times.of_repeat(now_ns, wall_now_ns)
        encoder = self._encoder
        if frame is not None and self._times.is_new(frame):
            tag = self._times.of_old_frame(frame, now_ns, wall_now_ns)
            done = self._show_frame(ring, frame, tag, now_ns)
        elif encoder is not None and self._cadence.wake_at() is not None:
            done = self._encode(tag, now_ns, lambda key: encoder.repeat(tag.pts_ns, key=key))
        elif frame is not None:
            done = self._show_frame(ring, frame, tag, now_ns)
        else:
            done = self._show_card(tag, now_ns)
        self._counts["repeated"] += done

    def _show_frame(self, ring: RingReader | None, frame: RingFrame, tag: Tag, now_ns: int) -> bool:
        if ring is None:
            return False
        if self._size is None or self._shows_card:
            size = self._settings.video_size(frame.width, frame.height)
            self._choice.note_size(size)
            if self._shows_card:
                # Also where the size is the same: one that went on from the placeholder put out
                # the first frames as plain gray, once in four starts (x264, with KVS alone).
                self.close_encoder()
            self._use_size(size)
            self._shows_card = False
        picture = Picture(
            frame.address, frame.stride, frame.width, frame.height, frame.pixel_format
        )
        was_valid = True

        def still_valid() -> bool:
            nonlocal was_valid
            was_valid = ring.still_valid(frame)
            return was_valid

        done = self._show(picture, tag, now_ns, still_valid)
        self._counts["torn"] += not was_valid
        return done

    def _show_card(self, tag: Tag, now_ns: int) -> bool:
        if self._size is None:
            self._use_size(self._settings.video_size(*self._last_size))
        width, height = self._size or (0, 0)
        if self._card is None:
            self._card = Placeholder(width, height)
        self._shows_card = True
        return self._show(self._card.picture, tag, now_ns, lambda: True)

    def _show(
        self, picture: Picture, tag: Tag, now_ns: int, still_valid: Callable[[], bool]
    ) -> bool:
        encoder = self._encoder or self._make_encoder()
        return self._encode(
            tag,
            now_ns,
            lambda key: encoder.encode(picture, tag.pts_ns, key=key, still_valid=still_valid),
        )

    def _encode(self, tag: Tag, now_ns: int, hand_over: Callable[[bool], bool]) -> bool:
        """Hand a picture over, and note whether the encoder took it: what was asked is owed."""
        action = Action.REPEAT if tag.repeat else Action.FRAME
        key = self._cadence.needs_key(
            tag.pts_ns,
            action,
            asked=self._hub.take_key_request(now_ns) or self._owes_key,
            repeats_refused=self._hub.keeps_no_repeats,
            epoch=tag.epoch,
        )
        self._tags.add(tag)
        done = hand_over(key)
        self._owes_key = key and not done
        if done:
            self._owes_picture = False
            self._times.went_in(tag, now_ns)
            self._cadence.done(now_ns, action, key=key, pts_ns=tag.pts_ns, epoch=tag.epoch)
        else:
            self._tags.take(tag.pts_ns)
        return done

    # --- the encoder -----------------------------------------------------------

    def _use_size(self, size: tuple[int, int]) -> None:
        """Fix the size of the video; the placeholder may have had another one."""
        if size != self._size:
            self.close_encoder()
            self._size = size
            self._card = None
            self._on_stats_changed()

    def _make_encoder(self) -> Encoder:
        spec = self._choice.spec
        assert spec is not None  # noqa: S101 - asked before `feed`
        width, height = self._size or (0, 0)
        self._cadence.restart()
        self._encoder = encoder = Encoder(
            spec,
            width=width,
            height=height,
            fps=self._settings.fps,
            bitrate_kbps=self._settings.bitrate_kbps,
            on_picture=self._on_picture,
            on_failed=self._on_failed,
        )
        self._on_stats_changed()
        return encoder

    def _on_picture(self, encoded: EncodedPicture) -> None:
        """Pass an encoded picture to the outputs. On GStreamer's thread."""
        tag = self._tags.take(encoded.pts_ns)
        if tag is None:
            logger.debug("A picture came out of the encoder that did not go in.")
            return
        data = with_user_data(encoded.data, REPEAT) if tag.repeat else encoded.data
        self._meter.count(time.monotonic_ns(), len(data))
        self._hub.publish(
            AccessUnit(
                data,
                encoded.key,
                encoded.pts_ns,
                tag.wall_ns,
                tag.number,
                tag.repeat,
                tag.epoch,
            )
        )
        if not tag.repeat:
            self._on_shown(tag.number)
