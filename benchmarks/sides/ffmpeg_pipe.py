"""Be watched through a pipe into an ffmpeg process, as many applications do it."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]


class FFmpegPipe:
    """
    Write raw frames into ffmpeg, which sends H.264 as RTP to one viewer.

    ffmpeg is no server. RTP over loopback is the way out of it that adds no
    latency of its own: MPEG-TS or a raw stream would be a frame later.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start ffmpeg with x264's fastest settings and the bitrate that SpyGlass has."""
        port = free_udp_port()
        source = f"-f rawvideo -pix_fmt bgr24 -s {width}x{height} -r {fps} -i -"
        encoder = (
            "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p"
            f" -g {2 * fps} -b:v {bitrate_kbps}k -maxrate {bitrate_kbps}k -bufsize {bitrate_kbps}k"
        )
        target = f"-f rtp rtp://127.0.0.1:{port}?pkt_size=1400"
        self._process = subprocess.Popen(
            f"ffmpeg -v error {source} {encoder} {target}".split(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            bufsize=0,
        )
        return "rtp", str(port)

    def put(self, frame: Frames) -> bool:
        """Write a frame; the pipe makes the application wait until ffmpeg has read it."""
        assert self._process is not None
        assert self._process.stdin is not None
        left = frame.data.cast("B")
        while left:
            left = left[self._process.stdin.write(left) or 0 :]
        return True

    def stats(self) -> dict[str, object]:
        """Tell nothing: ffmpeg does not."""
        return {}

    def close(self) -> None:
        """Close the pipe; ffmpeg ends with it."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def free_udp_port() -> int:
    """Find an even port: RTP has even ones, and RTCP the next."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port % 2 == 0:
            return port


SIDE = FFmpegPipe
