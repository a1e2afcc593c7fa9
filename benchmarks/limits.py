"""
Measure what cannot be avoided: converting and encoding, and nothing else.

Runs as a process of its own. libyuv is called as directly as Python can, x264
through GStreamer with the settings that SpyGlass gives it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import time
from pathlib import Path
from typing import TYPE_CHECKING

import gi
import numpy as np

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402

from benchmarks import frames  # noqa: E402
from benchmarks.remote import Answer, Inbox, serve  # noqa: E402

if TYPE_CHECKING:
    from benchmarks.frames import Frames

PIPELINE = (
    "appsrc name=source format=time max-buffers=2 block=true"
    " caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1"
    " ! x264enc speed-preset=ultrafast tune=zerolatency threads=1 bitrate={bitrate}"
    " key-int-max={key_interval}"
    " ! video/x-h264,profile=constrained-baseline ! appsink name=sink sync=false"
)


class Limits:
    """Hold the frames and measure with them."""

    def __init__(self) -> None:
        self._frames: Frames = np.empty(0, np.uint8)
        self._libyuv = ctypes.CDLL(ctypes.util.find_library("yuv") or "libyuv.so.0")

    def load(self, path: str) -> Answer:
        """Read the frames."""
        self._frames = frames.load(Path(path))
        return {}

    def measure(self, seconds: float, bitrate_kbps: int, *, paced: bool) -> Answer:
        """
        Convert and encode frames, each before the next one.

        Args:
            seconds: How many seconds of video.
            bitrate_kbps: What x264 is asked for.
            paced: At the frames' own pace rather than one straight after
                the other. Memory is cold then, as it is in an application.

        Returns:
            The processor's time for a frame, converting alone and both, in ms.

        """
        pipeline = Gst.parse_launch(
            PIPELINE.format(
                width=frames.WIDTH,
                height=frames.HEIGHT,
                fps=frames.FPS,
                bitrate=bitrate_kbps,
                key_interval=2 * frames.FPS,
            )
        )
        source: GstApp.AppSrc = pipeline.get_by_name("source")  # type: ignore[attr-defined]
        sink: GstApp.AppSink = pipeline.get_by_name("sink")  # type: ignore[attr-defined]
        pipeline.set_state(Gst.State.PLAYING)
        count = int(seconds * frames.FPS)
        warm_up = frames.FPS
        converting = before = 0.0
        started = time.monotonic()
        for step in range(warm_up + count):
            if step == warm_up:
                converting, before = 0.0, time.process_time()
            if paced:
                time.sleep(max(0.0, started + step / frames.FPS - time.monotonic()))
            frame = self._frames[frames.back_and_forth(step, len(self._frames))]
            frames.stamp(frame, step)
            converting += self._push(source, frame, step)
            sink.pull_sample()
        total = time.process_time() - before
        pipeline.set_state(Gst.State.NULL)
        return {"convert_ms": converting / count * 1e3, "total_ms": total / count * 1e3}

    def _push(self, source: GstApp.AppSrc, frame: Frames, step: int) -> float:
        buffer = Gst.Buffer.new_allocate(None, frames.WIDTH * frames.HEIGHT * 3 // 2, None)
        assert buffer is not None
        with buffer.map(Gst.MapFlags.WRITE) as mapped:
            assert mapped.data is not None
            before = time.thread_time()
            self._convert(frame, ctypes.addressof(ctypes.c_char.from_buffer(mapped.data)))
            took = time.thread_time() - before
        buffer.pts = step * Gst.SECOND // frames.FPS
        source.push_buffer(buffer)
        return took

    def _convert(self, frame: Frames, address: int) -> None:
        width, height = frames.WIDTH, frames.HEIGHT
        plane = width * height
        self._libyuv.RGB24ToI420(
            ctypes.c_void_p(frame.ctypes.data),
            width * 3,
            ctypes.c_void_p(address),
            width,
            ctypes.c_void_p(address + plane),
            width // 2,
            ctypes.c_void_p(address + plane * 5 // 4),
            width // 2,
            width,
            height,
        )


def main() -> None:
    """Serve the directing process."""
    Gst.init(None)
    limits = Limits()
    serve({"load": limits.load, "measure": limits.measure}, Inbox(0))


if __name__ == "__main__":
    main()
