"""Be the far side of pipelines: servers that decode, and say when a picture has come."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FFMPEG", "PIPELINES", "FarSide", "free_port", "listening"]

PIPELINES: Final = {
    "tcp": "h264parse config-interval=-1 ! tcpclientsink host={host} port={port} sync=false",
    "srt": "h264parse config-interval=-1 ! mpegtsmux alignment=7 ! srtsink uri=srt://{host}:{port}",
    "rtsp": "h264parse ! rtspclientsink location=rtsp://{host}:{port}/door protocols=tcp",
    "rtmp": "h264parse ! flvmux streamable=true ! rtmp2sink location=rtmp://{host}:{port}/live/door",
}
"""Pipelines that send to a host and a port, by kind."""

FFMPEG: Final = ["ffmpeg", "-v", "error", "-probesize", "100000", "-analyzeduration", "1000000"]
_INPUTS: Final = {
    "tcp": ["-f", "h264", "-i", "tcp://127.0.0.1:{port}?listen=1"],
    "srt": ["-i", "srt://127.0.0.1:{port}?mode=listener"],
    "rtmp": ["-listen", "1", "-i", "rtmp://127.0.0.1:{port}/live/door"],
}


class FarSide:
    """
    A server that decodes what comes.

    Over RTSP it is GStreamer's; else ffmpeg, which ends with its first connection.
    """

    def __init__(self, kind: str, port: int, *login: str) -> None:
        self._count = 0
        if kind == "rtsp":
            server = Path(__file__).with_name("record_server.py")
            command = [sys.executable, str(server), str(port), *login]
        else:
            source = [part.format(port=port) for part in _INPUTS[kind]]
            command = [*FFMPEG, *source, "-an", "-f", "framemd5", "-flush_packets", "1", "-"]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    @property
    def pictures(self) -> int:
        """How many pictures were decoded."""
        return self._count

    def kill(self) -> None:
        """End it at once, without a goodbye."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._count += not line.startswith("#")


@contextlib.contextmanager
def listening(kind: str, port: int, *login: str) -> Iterator[FarSide]:
    """Listen for the time of a block; over RTSP a user and a password may be demanded."""
    far_side = FarSide(kind, port, *login)
    try:
        yield far_side
    finally:
        far_side.kill()


def free_port(kind: str) -> int:
    """Return a port at which nobody listens; far sides cannot tell which one they took."""
    type_ = socket.SOCK_DGRAM if kind == "srt" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, type_) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
