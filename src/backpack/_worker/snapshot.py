"""Make a JPEG of a stream's newest frame when somebody asks for one, and not before."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from backpack._gst import factory
from backpack._gst.gi import Gst, GstApp
from backpack._ipc.settings import PixelFormat
from backpack._media.picture import Picture
from backpack.errors import BackpackError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._ipc.ring import RingFrame, RingReader

    Then = Callable[[bytes | None], None]

QUALITY = 80

MAKE_SECONDS = 5.0
"""After which a pipeline that should take milliseconds is given up."""

_TRIES = 3
"""For a frame that is overwritten while it is copied."""

_JPEG_COLOURS = "1:4:0:0"
"""Full range, BT.601: what JFIF says that a JPEG is, and the encoder does not convert to."""

_FORMATS = {
    PixelFormat.BGR: "format=BGR,colorimetry=sRGB",
    # What lies beside the colours is no transparency.
    PixelFormat.BGRA: "format=BGRx,colorimetry=sRGB",
    PixelFormat.GRAY: f"format=GRAY8,colorimetry={_JPEG_COLOURS}",
}

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Copy:
    """A frame that may be seen, in memory of our own."""

    buffer: Gst.Buffer
    caps: str
    width: int
    height: int
    wall_ns: int
    number: int


class Snapshots:
    """
    Take the newest frame out of a stream's ring and make JPEGs of it.

    The intake, which alone may read the ring, only copies the frame: half a
    millisecond at 1080p. Scaling and encoding run on a thread of their own,
    which is there from the first snapshot on and sleeps between them; each is
    made by a pipeline that ends with it.

    Args:
        wake: Wakes the intake up, so that it calls `serve`. Any thread.

    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        # Guards what is below.
        self._lock = threading.Lock()
        self._asked: list[tuple[int, Then]] = []
        self._closed = False
        self._thread: threading.Thread | None = None
        # The newest frame that a JPEG was made of: its number, and width → JPEG.
        self._made: tuple[int, dict[int, bytes]] = (0, {})
        self._work: queue.SimpleQueue[tuple[_Copy, list[tuple[int, Then]]] | None] = (
            queue.SimpleQueue()
        )

    def ask(self, max_width: int, then: Then) -> None:
        """
        Ask for a JPEG of the newest frame. Any thread; never waits.

        Args:
            max_width: Pixels in a row at the most; frames are not enlarged.
            then: Called once, on any thread, with the JPEG, or with None where
                there is no frame. Its first segment is a comment that says
                when the frame was captured.

        """
        with self._lock:
            is_closed = self._closed
            if not is_closed:
                self._asked.append((max_width, then))
        if is_closed:
            then(None)
        else:
            self._wake()

    def serve(self, ring: RingReader | None) -> bool:
        """
        Copy the newest frame for those who have asked, and tell whether somebody has.

        The intake's thread, at each turn.
        """
        # Looked at without the lock at every turn: who asks wakes us up afterwards.
        if not self._asked:
            return False
        with self._lock:
            asked, self._asked = self._asked, []
            number, jpegs = self._made
        if ring is not None and ring.latest_number() == number:
            # Of a silent application's last frame they are made once.
            for width in {width for width, _ in asked} & jpegs.keys():
                _answer([one for one in asked if one[0] == width], jpegs[width])
            asked = [one for one in asked if one[0] not in jpegs]
        if asked:
            self._copy_for(asked, ring)
        return True

    def _copy_for(self, asked: list[tuple[int, Then]], ring: RingReader | None) -> None:
        copy = None
        try:
            copy = None if ring is None else self._copy(ring)
        except BackpackError as error:
            logger.warning("There is no snapshot: %s", error)
        if copy is None:
            _answer(asked, None)
            return
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="spyglass-snapshot")
                self._thread.start()
        self._work.put((copy, asked))

    def close(self) -> None:
        """Answer whoever still waits, and end the thread. After the intake's; idempotent."""
        with self._lock:
            self._closed = True
            asked, self._asked = self._asked, []
            thread, self._thread = self._thread, None
        _answer(asked, None)
        if thread is not None:
            self._work.put(None)
            thread.join()

    # --- the intake's thread ----------------------------------------------------

    def _copy(self, ring: RingReader) -> _Copy | None:
        try:
            for _ in range(_TRIES):
                frame = ring.take()
                if frame is None:
                    return None
                copy = self._copy_frame(frame)
                if ring.still_valid(frame):
                    return copy
        finally:
            ring.release()
        return None

    def _copy_frame(self, frame: RingFrame) -> _Copy:
        picture = Picture(
            frame.address, frame.stride, frame.width, frame.height, frame.pixel_format
        )
        row_bytes = picture.width * picture.pixel_format.bytes_per_pixel
        # GStreamer pads the rows of every packed format to four bytes.
        stride = (row_bytes + 3) // 4 * 4
        buffer = Gst.Buffer.new_allocate(None, stride * picture.height, None)
        if buffer is None:
            raise PipelineError(f"There is no memory for a snapshot of {picture.height} rows.")
        with buffer.map(Gst.MapFlags.WRITE) as mapped:
            anchor = ctypes.c_char.from_buffer(mapped.data)  # type: ignore[arg-type]
            _copy_rows(picture, ctypes.addressof(anchor), stride, row_bytes)
            # The map cannot be undone while somebody points into it.
            del anchor
        caps = (
            f"video/x-raw,{_FORMATS[picture.pixel_format]},width={picture.width},"
            f"height={picture.height},framerate=1/1,pixel-aspect-ratio=1/1"
        )
        return _Copy(buffer, caps, picture.width, picture.height, frame.wall_ns, frame.number)

    # --- our own thread ---------------------------------------------------------

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            copy, asked = work
            for width in {width for width, _ in asked}:
                jpeg = None
                try:
                    jpeg = _encode(copy, width)
                except BackpackError as error:
                    logger.warning("There is no snapshot: %s", error)
                if jpeg is not None:
                    self._keep(copy.number, width, jpeg)
                _answer([one for one in asked if one[0] == width], jpeg)

    def _keep(self, number: int, width: int, jpeg: bytes) -> None:
        with self._lock:
            newest, jpegs = self._made
            jpegs = {**jpegs, width: jpeg} if number == newest else {width: jpeg}
            self._made = number, jpegs


def _copy_rows(picture: Picture, address: int, stride: int, row_bytes: int) -> None:
    if stride == picture.stride:
        # Not beyond the last pixel: the picture's memory may end there.
        size = stride * (picture.height - 1) + row_bytes
        ctypes.memmove(address, picture.address, size)
        return
    for row in range(picture.height):
        ctypes.memmove(address + row * stride, picture.address + row * picture.stride, row_bytes)


def _answer(asked: list[tuple[int, Then]], jpeg: bytes | None) -> None:
    for _, then in asked:
        try:
            then(jpeg)
        except Exception:  # noqa: PERF203
            # Whoever asked, the others wait for theirs.
            logger.exception("Somebody who asked for a snapshot could not take it.")


def _encode(copy: _Copy, max_width: int) -> bytes:
    width = max(2, min(max_width, copy.width) // 2 * 2)
    height = max(2, round(copy.height * width / copy.width / 2) * 2)
    pipeline = Gst.Pipeline.new(None)
    source = cast("GstApp.AppSrc", factory.make("appsrc", format="time"))
    source.set_property("caps", Gst.Caps.from_string(copy.caps))
    wanted = Gst.Caps.from_string(
        f"video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1,"
        f"colorimetry={_JPEG_COLOURS}"
    )
    sink = cast("GstApp.AppSink", factory.make("appsink", sync=False))
    row = [
        source,
        # Scaled first: there is less to convert then.
        factory.make("videoscale", add_borders=False),
        factory.make("videoconvert", dither="none"),
        factory.make("capsfilter", caps=wanted or ""),
        factory.make("jpegenc", quality=QUALITY),
        sink,
    ]
    for element in row:
        pipeline.add(element)
    factory.link(row)
    with contextlib.ExitStack() as undo:
        undo.callback(pipeline.set_state, Gst.State.NULL)
        pipeline.set_state(Gst.State.PLAYING)
        copy.buffer.pts = 0
        source.push_buffer(copy.buffer)
        source.end_of_stream()
        sample = sink.try_pull_sample(int(MAKE_SECONDS * Gst.SECOND))
        if sample is None:
            raise PipelineError(_reason(pipeline))
        made = cast("Gst.Buffer", sample.get_buffer())
        jpeg = made.extract_dup(0, made.get_size())
    return _with_comment(jpeg, f"SpyGlass captured_ns={copy.wall_ns}".encode())


def _reason(pipeline: Gst.Pipeline) -> str:
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    if message is None:
        return f"no JPEG came within {MAKE_SECONDS:.0f} s."
    error, _ = message.parse_error()
    return f"no JPEG was made: {error.message}"


def _with_comment(jpeg: bytes, text: bytes) -> bytes:
    """Put a comment (COM, ITU-T T.81, B.2.4.5) behind the start of the image."""
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
