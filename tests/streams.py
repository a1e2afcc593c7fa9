"""Feed hubs with numbered pictures from a real encoder, and run GLib's main loop for servers."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from backpack._gst.gi import GLib, Gst, GstVideo
from backpack._media.access_unit import AccessUnit
from backpack._media.hub import Hub
from backpack._media.output import StreamSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH, HEIGHT = 320, 240
BITS = 16
BLOCK = 16
SECOND_NS = 1_000_000_000

Result = TypeVar("Result")


class Mute:
    """The application's side of an output, where there is none."""

    def send(self, body: dict[str, Any]) -> None:
        """Do nothing."""

    def stats_changed(self) -> None:
        """Do nothing."""


def source_of(
    hub: Hub,
    numbers: Callable[[], dict[str, Any]] = dict,
    snapshot: Callable[..., None] | None = None,
) -> StreamSource:
    """Give a stream as an output sees it; without a frame for a snapshot if not told otherwise."""
    return StreamSource(hub, numbers, snapshot or (lambda _width, then: then(None)), Mute())


class MainLoop:
    """Run GLib's default main context in a thread, and call into it."""

    def __init__(self) -> None:
        self._loop = GLib.MainLoop.new(None, is_running=False)
        self._thread = threading.Thread(target=self._loop.run, name="main loop", daemon=True)
        self._thread.start()
        self.call(lambda: None)

    def call(self, function: Callable[..., Result], *args: Any, timeout: float = 60) -> Result:
        """Call a function on the loop's thread and give what it gives or raises."""
        future: Future[Result] = Future()

        def run() -> bool:
            try:
                future.set_result(function(*args))
            except BaseException as error:  # noqa: BLE001 - raised again in the caller
                future.set_exception(error)
            return False

        GLib.idle_add(run)
        return future.result(timeout)

    def close(self) -> None:
        """End the loop and its thread."""
        GLib.idle_add(self._loop.quit)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def main_loop() -> Iterator[MainLoop]:
    """Run the main loop for the time of a block."""
    loop = MainLoop()
    try:
        yield loop
    finally:
        loop.close()


def launch(text: str) -> Any:
    """Make a pipeline."""
    return Gst.parse_launch(text)


def draw(number: int) -> bytes:
    """Draw a gray picture that shows a number as black and white blocks."""
    bits = [(number >> bit) & 1 for bit in range(BITS)]
    row = b"".join(bytes([235 if bit else 16]) * BLOCK for bit in bits)
    row += b"\x80" * (WIDTH - len(row))
    gray = b"\x80" * WIDTH
    return row * BLOCK + gray * (HEIGHT - BLOCK)


def read_number(picture: bytes, width: int = WIDTH) -> int:
    """Read the number of a decoded gray picture."""
    line = BLOCK // 2 * width
    return sum(1 << bit for bit in range(BITS) if picture[line + bit * BLOCK + BLOCK // 2] > 128)


class NumberedStream:
    """
    Be a stream's intake and encoder: numbered pictures into a hub while it wants them.

    Args:
        fps: Pictures a second. 0: the application is silent, and viewers get
            repeats only.
        linger_ns: How long the hub lingers.
        padding_bytes: By how much to blow every picture up.

    """

    def __init__(
        self, fps: float = 30.0, *, linger_ns: int = 5 * SECOND_NS, padding_bytes: int = 0
    ) -> None:
        self._wake = threading.Event()
        self.hub = Hub(linger_ns=linger_ns, on_change=self._wake.set)
        self.fps = fps
        # Filler data (ITU-T H.264, 7.3.2.7), which decoders pass over.
        filler = b"\0\0\0\1\x0c" + b"\xff" * padding_bytes + b"\x80"
        self._filler = filler if padding_bytes else b""
        # Every unit that was published: number → unit.
        self.published: dict[int, AccessUnit] = {}
        # The same with the repeats, in order.
        self.units: list[AccessUnit] = []
        self.published_at_ns: dict[int, int] = {}
        self._pending: deque[AccessUnit] = deque()
        self._number = 0
        self._stopped = False
        self._pipeline = launch(
            "appsrc name=in format=time is-live=true caps=video/x-raw,format=I420,"
            f"width={WIDTH},height={HEIGHT},framerate={round(fps) or 30}/1 ! "
            "x264enc name=enc tune=zerolatency speed-preset=ultrafast key-int-max=100000 "
            "bitrate=1000 threads=1 ! "
            "video/x-h264,stream-format=byte-stream,alignment=au,profile=constrained-baseline ! "
            "appsink name=out sync=false emit-signals=true"
        )
        self._source = self._pipeline.get_by_name("in")
        self._encoder = self._pipeline.get_by_name("enc")
        self._sink = self._pipeline.get_by_name("out")
        self._handler = self._sink.connect("new-sample", self._on_sample)
        self._pipeline.set_state(Gst.State.PLAYING)
        self._thread = threading.Thread(target=self._run, name="numbered stream", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the encoder."""
        self._stopped = True
        self._wake.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._pipeline.set_state(Gst.State.NULL)
        self._sink.disconnect(self._handler)

    def _run(self) -> None:
        due_ns = time.monotonic_ns()
        while not self._stopped:
            now_ns = time.monotonic_ns()
            # Once a turn: a test may set it at any time.
            fps = self.fps
            if not self.hub.wanted(now_ns):
                self._wake.wait(1)
                self._wake.clear()
                due_ns = time.monotonic_ns()
                continue
            newcomer = self.hub.take_new_viewer()
            fresh = fps > 0 and now_ns >= due_ns
            if fresh or newcomer:
                if fresh:
                    self._number += 1
                    due_ns += int(SECOND_NS / fps)
                self._encode(now_ns, repeat=not fresh)
                continue
            pause_ns = due_ns - now_ns if fps > 0 else SECOND_NS
            key_ns = self.hub.next_key_request_ns
            if not fps and key_ns is not None and key_ns <= now_ns:
                self._encode(now_ns, repeat=True)
                continue
            if not fps and key_ns is not None:
                pause_ns = min(pause_ns, key_ns - now_ns)
            if not self._wake.wait(max(0, pause_ns) / SECOND_NS) and not fps:
                self._encode(time.monotonic_ns(), repeat=True)
            self._wake.clear()

    def _encode(self, now_ns: int, *, repeat: bool) -> None:
        # The RTP clock has 90 kHz; whole microseconds keep sums exact.
        pts_ns = now_ns // 1000 * 1000
        if self.hub.take_key_request(now_ns):
            event = GstVideo.video_event_new_upstream_force_key_unit(
                Gst.CLOCK_TIME_NONE, all_headers=True, count=0
            )
            self._encoder.get_static_pad("src").send_event(event)
        wall_ns = time.time_ns() - (time.monotonic_ns() - pts_ns)
        self._pending.append(
            AccessUnit(
                b"", key=False, pts_ns=pts_ns, wall_ns=wall_ns, number=self._number, repeat=repeat
            )
        )
        picture = draw(self._number) + b"\x80" * (WIDTH * HEIGHT // 2)
        buffer = Gst.Buffer.new_wrapped(picture)
        buffer.pts = pts_ns
        self._source.emit("push-buffer", buffer)

    def _on_sample(self, sink: Any) -> Gst.FlowReturn:
        buffer = sink.emit("pull-sample").get_buffer()
        meant = self._pending.popleft()
        unit = AccessUnit(
            data=buffer.extract_dup(0, buffer.get_size()) + self._filler,
            key=not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT),
            pts_ns=meant.pts_ns,
            wall_ns=meant.wall_ns,
            number=meant.number,
            repeat=meant.repeat,
        )
        self.units.append(unit)
        if not unit.repeat:
            self.published[unit.number] = unit
            self.published_at_ns[unit.number] = time.monotonic_ns()
        self.hub.publish(unit)
        return Gst.FlowReturn.OK
