"""
Watch a stream as someone else would, and write down when each picture came.

Runs as a process of its own. Nothing of SpyGlass is in it: the pictures come
through GStreamer's ``rtspsrc``, or for the side without a server as RTP.
"""

from __future__ import annotations

import statistics
import threading
import time

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
# GstApp is imported for its side effect: it gives an appsink its methods.
from gi.repository import Gst, GstApp  # noqa: E402

from benchmarks import frames  # noqa: E402
from benchmarks.remote import Answer, Inbox, serve  # noqa: E402

# From NTP's epoch, in which senders tell the capture time, to Unix'.
NTP_TO_UNIX_NS = 2_208_988_800 * 1_000_000_000
FIRST_PICTURE_LIMIT_SECONDS = 20.0

SOURCES = {
    "rtsp": (
        "rtspsrc location={location} latency=0 protocols=tcp"
        " buffer-mode=none add-reference-timestamp-meta=true"
    ),
    "rtp": (
        "udpsrc port={location} buffer-size=8388608"
        " caps=application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96"
    ),
}
SINKS = {
    # Decoding costs as much as encoding does: only where the picture is read.
    True: "rtph264depay ! h264parse ! avdec_h264 max-threads=1 ! video/x-raw,format=I420",
    False: "rtph264depay",
}


class Viewer:
    """
    Watch one stream.

    The arrivals are written by GStreamer's streaming thread alone, and read
    by the main thread once the pipeline has stopped.

    Args:
        kind: A key of ``SOURCES``.
        location: The URL, or the port.
        decode: Decode each picture and read its number. Otherwise only its
            capture time is read, where the sender tells it.

    """

    def __init__(self, kind: str, location: str, *, decode: bool) -> None:
        source = SOURCES[kind].format(location=location)
        text = f"{source} ! {SINKS[decode]} ! appsink name=sink sync=false emit-signals=true"
        self._decode = decode
        # The number or capture time in ns since the epoch, if known; stream time; arrival.
        self._arrivals: list[tuple[int | None, int, int]] = []
        self._first = threading.Event()
        self.first_ns = 0
        self._pipeline = Gst.parse_launch(text)
        sink = self._pipeline.get_by_name("sink")  # type: ignore[attr-defined]
        sink.connect("new-sample", self._take)
        self._started_ns = time.monotonic_ns()
        self._pipeline.set_state(Gst.State.PLAYING)

    def wait_for_picture(self) -> float:
        """
        Wait for the first picture.

        Returns:
            How long it took from connecting, in seconds.

        Raises:
            TimeoutError: None came.

        """
        if not self._first.wait(FIRST_PICTURE_LIMIT_SECONDS):
            bus = self._pipeline.get_bus()
            message = bus.pop_filtered(Gst.MessageType.ERROR) if bus else None
            raise TimeoutError(message.parse_error() if message else "no picture came")
        return (self.first_ns - self._started_ns) / 1e9

    @property
    def failed(self) -> bool:
        """Whether the stream ended or broke."""
        bus = self._pipeline.get_bus()
        return bool(bus and bus.pop_filtered(Gst.MessageType.ERROR | Gst.MessageType.EOS))

    def close(self) -> None:
        """Stop watching."""
        self._pipeline.set_state(Gst.State.NULL)

    def arrivals(self) -> list[tuple[int | None, int]]:
        """
        Tell for each picture its number or capture time, and when it came.

        Not every picture carries its capture time here: the first ones come
        before the sender's first report. The stream's own time tells the rest.
        """
        if self._decode:
            return [(number, at_ns) for number, _, at_ns in self._arrivals]
        offsets_ns = [word - pts_ns for word, pts_ns, _ in self._arrivals if word is not None]
        if not offsets_ns:
            return [(None, at_ns) for _, _, at_ns in self._arrivals]
        offset_ns = int(statistics.median(offsets_ns))
        return [(pts_ns + offset_ns, at_ns) for _, pts_ns, at_ns in self._arrivals]

    def _take(self, sink: GstApp.AppSink) -> Gst.FlowReturn:
        now_ns = time.monotonic_ns()
        sample = sink.pull_sample()
        buffer = sample.get_buffer() if sample else None
        caps = sample.get_caps() if sample else None
        if buffer is not None and caps is not None:
            word = self._number(buffer, caps) if self._decode else self._capture_time_ns(buffer)
            self._arrivals.append((word, buffer.pts, now_ns))
            if not self._first.is_set():
                self.first_ns = now_ns
                self._first.set()
        return Gst.FlowReturn.OK

    @staticmethod
    def _number(buffer: Gst.Buffer, caps: Gst.Caps) -> int | None:
        # From the text: GStreamer 1.26's Python bindings wrap structures, without their methods.
        width = int(caps.to_string().partition("width=(int)")[2].partition(",")[0])
        # GStreamer's default layout of I420: brightness first, rows padded to four bytes.
        stride = (width + 3) & ~3
        top = np.frombuffer(buffer.extract_dup(0, stride * frames.SQUARE), np.uint8)
        return frames.read(top.reshape(frames.SQUARE, stride))

    @staticmethod
    def _capture_time_ns(buffer: Gst.Buffer) -> int | None:
        meta = buffer.get_reference_timestamp_meta(None)
        return meta.timestamp - NTP_TO_UNIX_NS if meta else None


class Watchers:
    """Carry out what the directing process asks for."""

    def __init__(self) -> None:
        self._viewers: list[Viewer] = []

    def watch(self, kind: str, location: str, *, decode: bool, count: int = 1) -> Answer:
        """Open viewers and wait until each has its first picture."""
        new = [Viewer(kind, location, decode=decode) for _ in range(count)]
        self._viewers += new
        try:
            return {"first_picture_seconds": [viewer.wait_for_picture() for viewer in new]}
        except TimeoutError:
            self.leave()
            raise

    def leave(self) -> Answer:
        """Close all viewers; tell what the first one saw."""
        for viewer in self._viewers:
            viewer.close()
        arrivals = self._viewers[0].arrivals() if self._viewers else []
        self._viewers = []
        # Both clocks now: capture times are told by the one, arrivals by the other.
        return {
            "arrivals": arrivals,
            "wall_minus_monotonic_ns": time.time_ns() - time.monotonic_ns(),
        }


class Returner:
    """Watch a stream that breaks again and again: come back each time it does."""

    def __init__(self) -> None:
        self._end = threading.Event()
        self._thread: threading.Thread | None = None
        # Written by that thread alone.
        self._visits = 0

    def start(self, kind: str, location: str) -> Answer:
        """Begin, on a thread of its own."""
        self._thread = threading.Thread(target=self._run, args=(kind, location))
        self._thread.start()
        return {}

    def visits(self) -> Answer:
        """Tell how often a picture was seen after connecting."""
        return {"visits": self._visits}

    def stop(self) -> Answer:
        """End, and tell the same."""
        self._end.set()
        if self._thread:
            self._thread.join()
        return self.visits()

    def _run(self, kind: str, location: str) -> None:
        while not self._end.is_set():
            viewer = Viewer(kind, location, decode=False)
            is_counted = False
            while not self._end.wait(0.05) and not viewer.failed:
                if viewer.first_ns and not is_counted:
                    self._visits += 1
                    is_counted = True
            viewer.close()


def main() -> None:
    """Serve the directing process."""
    Gst.init(None)
    watchers = Watchers()
    returner = Returner()
    serve(
        {
            "watch": watchers.watch,
            "leave": watchers.leave,
            "keep_coming_back": returner.start,
            "visits": returner.visits,
            "stop_coming_back": returner.stop,
        },
        Inbox(0),
    )


if __name__ == "__main__":
    main()
