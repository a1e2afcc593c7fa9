"""Run one encoder: pictures go in, access units come out, failures are told once."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backpack._gst.gi import Gst
from backpack._media.h264 import ParameterSetWriter
from backpack._worker.encoding.bitrate import RateTracker, SpendingTracker, default_bitrate_kbps
from backpack._worker.encoding.in_flight import Inside
from backpack._worker.encoding.pipeline import EncoderPipeline, Size, nominal_rate
from backpack._worker.encoding.pool import PicturePool
from backpack._worker.encoding.starvation import CpuWait
from backpack.errors import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._media.picture import Picture
    from backpack._worker.encoding.colour import Layout
    from backpack._worker.encoding.encoders import EncoderSpec

logger = logging.getLogger(__name__)

_STALL_SECONDS: Final = 2.0
"""An encoder that keeps a picture for so long while it is fed has failed."""

_GRACE_SECONDS: Final = 0.5
_LONGEST_STALL_SECONDS: Final = 15.0
"""How long an encoder may keep a picture even if it is not given the CPU."""


@dataclass(frozen=True)
class EncodedPicture:
    """
    One access unit as it left the encoder.

    Attributes:
        data: H.264 in Annex B form, parameter sets before every key frame.
        key: Whether decoding can start here.
        pts_ns: The time that was handed in with the picture.

    """

    data: bytes
    key: bool
    pts_ns: int


class Encoder:
    """
    One running H.264 encoder pipeline for one stream size.

    `encode`, `repeat` and `wait_until_ready` are called by one thread, the
    stream's intake. At most a few pictures are inside: while there is no
    room, `encode` waits rather than letting a queue, and with it latency, grow.

    Args:
        spec: The encoder's row in the table.
        width: Width of the video; an odd one loses its last column.
        height: Height of the video; an odd one loses its last row.
        fps: Pictures a second that are expected. None: 30. What really comes
            is measured and the bit rate kept all the same.
        bitrate_kbps: Bits a second / 1000. None: chosen by size and rate.
        on_picture: Called with each access unit, on GStreamer's thread.
        on_failed: Called once if the encoder fails, on any thread. From then
            on nothing is encoded; `close` is still to be called, and not
            from within this call.
        libyuv: False converts with GStreamer even where libyuv is installed.

    Raises:
        EncoderError: The element is missing or cannot be started.

    """

    def __init__(
        self,
        spec: EncoderSpec,
        *,
        width: int,
        height: int,
        fps: float | None,
        bitrate_kbps: int | None,
        on_picture: Callable[[EncodedPicture], None],
        on_failed: Callable[[EncoderError], None],
        libyuv: bool = True,
    ) -> None:
        self.spec = spec
        self._size = Size(width // 2 * 2, height // 2 * 2)
        self._asked_kbps = bitrate_kbps
        self._on_picture = on_picture
        self._on_failed = on_failed
        rate = nominal_rate(fps)
        self._tracker = RateTracker(float(rate))
        self._parts = EncoderPipeline(spec, self._size, rate, libyuv=libyuv)
        # Belongs to GStreamer's streaming thread.
        self._parameter_sets = ParameterSetWriter(None if fps is None else rate)
        # Guards what follows, and is notified when any of it changes.
        self._changed = threading.Condition()
        self._inside = Inside(spec.delay_pictures)
        self._spending = SpendingTracker()
        self._failure: EncoderError | None = None
        self._ended = False
        self._closed = False
        # What follows belongs to the intake thread.
        self._pool: PicturePool | None = None
        self._last: Gst.Buffer | None = None
        self._started = False
        self._start()

    @property
    def width(self) -> int:
        """The width of the video."""
        return self._size.width

    @property
    def height(self) -> int:
        """The height of the video."""
        return self._size.height

    @property
    def bitrate_kbps(self) -> int:
        """The bit rate that is aimed at, whatever the encoder is told for it."""
        if self._asked_kbps is not None:
            return self._asked_kbps
        return default_bitrate_kbps(self.width, self.height, self._tracker.told_fps)

    def _start(self) -> None:
        self._tell_rate()
        self._parts.listen(on_message=self._on_message, on_sample=self._on_sample)
        result = self._parts.pipeline.set_state(Gst.State.PLAYING)
        if result == Gst.StateChangeReturn.FAILURE:
            failure = self._failure or EncoderError(f"{self.spec.name} does not start.")
            self._on_failed = lambda _: None
            self.close()
            raise failure

    def encode(
        self,
        picture: Picture,
        pts_ns: int,
        *,
        key: bool,
        still_valid: Callable[[], bool],
    ) -> bool:
        """
        Convert a picture into the encoder's own memory and hand it on.

        Args:
            picture: The pixels, of any size; they are read during this call
                only.
            pts_ns: Capture time, a multiple of 1,000, newer than the last.
            key: Whether decoding must be able to start with this picture.
            still_valid: Asked after the pixels were read. False: what was
                read is thrown away.

        Returns:
            Whether the picture was handed to the encoder.

        """
        if not self._wait_for_room():
            return False
        buffer = self._take_buffer(self._parts.converter.layout(picture))
        if buffer is None:
            return False
        with buffer.map(Gst.MapFlags.WRITE) as info:
            memory = ctypes.c_char.from_buffer(info.data)  # type: ignore[arg-type]
            self._parts.converter.fill(picture, ctypes.addressof(memory))
        if not still_valid():
            return False
        self._last = buffer
        return self._push(buffer, pts_ns, key=key)

    def repeat(self, pts_ns: int, *, key: bool) -> bool:
        """
        Encode the last picture again, with a new time.

        Returns:
            Whether it was handed to the encoder; False if there was none.

        """
        if self._last is None or not self._wait_for_room():
            return False
        again = self._last.copy_region(Gst.BufferCopyFlags.MEMORY, 0, self._last.get_size())
        return again is not None and self._push(again, pts_ns, key=key)

    def wait_until_ready(self, seconds: float) -> bool:
        """
        Wait until the encoder has room for a picture, at most so long.

        Who asks this before choosing the picture chooses the newest one.
        """
        with self._changed:
            self._changed.wait_for(self._has_room, seconds)
            hangs = self._hangs()
        if hangs:
            self._fail(self._hang())
        return self._has_room() and self._works()

    def close(self, drain_seconds: float = 0.0) -> None:
        """
        End the pipeline; a second call does nothing.

        Args:
            drain_seconds: How long to wait for pictures that are still
                inside to come out.

        """
        with self._changed:
            if self._closed:
                return
            if drain_seconds > 0:
                self._drain(drain_seconds)
            self._closed = True
            self._changed.notify_all()
        if self._parts.set_state(Gst.State.NULL):
            self._parts.release()
            self._last = None
            if self._pool is not None:
                self._pool.close()

    def _drain(self, seconds: float) -> None:
        """Wait for what is inside to come out, with the lock held."""
        if self._works() and self._started:
            self._ended = False
            self._parts.source.end_of_stream()
            self._changed.wait_for(
                lambda: self._ended or not self._inside or not self._works(), seconds
            )

    def _works(self) -> bool:
        return self._failure is None and not self._closed

    def _has_room(self) -> bool:
        return self._inside.has_room or not self._works()

    def _wait_for_room(self) -> bool:
        """Wait until a picture may go in. False: the encoder is closed or has failed."""
        with self._changed:
            if self._works() and not self._inside:
                return True
            while self._works() and not self._hangs():
                if self._has_room():
                    return True
                self._changed.wait(_STALL_SECONDS)
        self._fail(self._hang())
        return False

    def _hang(self) -> EncoderError:
        return EncoderError(
            f"{self.spec.name} hangs: it was given pictures and has put none out for "
            f"{_STALL_SECONDS:g} s."
        )

    def _hangs(self) -> bool:
        """Return whether the encoder keeps what should have come out long ago."""
        while self._works():
            if self._inside.stalled_for(time.monotonic()) < _STALL_SECONDS:
                return False
            if not self._recovers():
                return True
        return False

    def _recovers(self) -> bool:
        """
        Return an encoder that seems to hang the chance to run.

        While the process was stopped the clock has gone on, and while it is
        starved the encoder cannot run: neither is the encoder's fault.
        """
        oldest_ns = self._inside.oldest_ns
        starved = CpuWait()
        self._changed.wait_for(
            lambda: not self._works() or self._inside.oldest_ns != oldest_ns, _GRACE_SECONDS
        )
        if not self._works() or self._inside.oldest_ns != oldest_ns:
            return True
        stalled_s = self._inside.stalled_for(time.monotonic())
        return starved.seconds() > _GRACE_SECONDS / 2 and stalled_s < _LONGEST_STALL_SECONDS

    def _take_buffer(self, layout: Layout) -> Gst.Buffer | None:
        if self._pool is None or self._pool.layout != layout:
            if self._pool is not None:
                self._pool.close()
            self._pool = PicturePool(layout)
            self._parts.source.set_caps(self._pool.caps)
        return self._pool.take()

    def _push(self, buffer: Gst.Buffer, pts_ns: int, *, key: bool) -> bool:
        self._keep_rate(pts_ns)
        # The first picture is a key frame anyway. Asking for it would spoil
        # later requests: GstVideoEncoder (1.22) notes a wrong time for it when
        # the encoder shifts its timestamps, as x264enc does.
        if key and self._started:
            self._parts.ask_for_key(pts_ns)
        with self._changed:
            if not self._works():
                return False
            self._inside.enter(pts_ns, time.monotonic())
        self._started = True
        buffer.pts = pts_ns
        return self._parts.source.push_buffer(buffer) == Gst.FlowReturn.OK

    def _keep_rate(self, pts_ns: int) -> None:
        true_fps = self._tracker.observe(pts_ns)
        with self._changed:
            corrected = self._spending.is_due and self._spending.correct(self.bitrate_kbps)
        if true_fps is not None:
            logger.debug("%s: %.2f pictures a second come", self.spec.name, true_fps)
        if self.spec.bitrate_while_playing or not self._started:
            if corrected or true_fps is not None:
                self._tell_rate()
        elif true_fps is not None:
            # Rare: the tracker speaks only when the rate has left its bounds.
            self._restart()

    def _restart(self) -> None:
        with self._changed:
            self._drain(_STALL_SECONDS)
            self._inside.clear()
        if self._parts.set_state(Gst.State.READY):
            self._tell_rate()
            self._started = False
            self._parts.set_state(Gst.State.PLAYING)

    def _tell_rate(self) -> None:
        kbps = self.bitrate_kbps * self._spending.factor
        self._parts.tell_rate(kbps, self._tracker.told_fps)

    def _on_sample(self, sink: GstApp.AppSink) -> Gst.FlowReturn:
        """Take an access unit. On GStreamer's thread."""
        sample = sink.pull_sample()
        buffer = sample.get_buffer() if sample is not None else None
        if sample is None or buffer is None:
            return Gst.FlowReturn.OK
        # The encoder may have shifted timestamps and segment alike.
        time_ns = sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts)
        data = buffer.extract_dup(0, buffer.get_size())
        key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        own_ns = self._leave(time_ns, len(data))
        picture = EncodedPicture(self._describe(data) if key else data, key=key, pts_ns=own_ns)
        try:
            self._on_picture(picture)
        except Exception:
            logger.exception("What takes the pictures of %s failed", self.spec.name)
        return Gst.FlowReturn.OK

    def _describe(self, data: bytes) -> bytes:
        try:
            return self._parameter_sets.describe(data)
        except ValueError as error:
            # It plays all the same, only with colours that may be a little off.
            logger.debug("%s: colours and rate are not described: %s", self.spec.name, error)
            return data

    def _leave(self, time_ns: int, size_bytes: int) -> int:
        with self._changed:
            own_ns = self._inside.leave(time_ns)
            self._spending.observe(own_ns, size_bytes)
            self._changed.notify_all()
        return own_ns

    def _on_message(self, bus: Gst.Bus, message: Gst.Message, _data: None) -> Gst.BusSyncReply:
        """Look at what elements say. On whatever thread they say it."""
        if message.type == Gst.MessageType.ERROR:
            error, debug = message.parse_error()
            name = message.src.get_name() if message.src is not None else "?"
            self._fail(EncoderError(f"{self.spec.name} failed: {name}: {error.message} ({debug})"))
        elif message.type == Gst.MessageType.EOS:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
        # DROP would leak: a handler is to free what it drops, and Python
        # cannot. So each message takes the one before it off the bus.
        bus.pop()
        return Gst.BusSyncReply.PASS

    def _fail(self, error: EncoderError) -> None:
        with self._changed:
            if not self._works():
                return
            self._failure = error
            self._changed.notify_all()
        self._on_failed(error)
