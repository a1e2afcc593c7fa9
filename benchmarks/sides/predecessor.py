"""
Be watched through panorama-backpack 0.3.2.

Runs in an environment of its own (``script/setup --bench``): it needs
Debian's OpenCV, and its package is called ``backpack`` as ours is.
"""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

# From the predecessor's environment; ours must not be on the path.
from backpack.rtsp import (  # type: ignore[attr-defined,unused-ignore]
    RTSPServer,
    RTSPSkyLine,
)

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]

# Whatever port it is given, it listens on this one ...
SERVER_PORT = 8554
# ... and sends its frames to itself through this one.
LOOPBACK_PORT = 5000


class Predecessor:
    """Use it as its documentation says, with rate and size declared: no warm-up."""

    def __init__(self) -> None:
        self._server: Any = None
        self._skyline: Any = None

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start server and stream; the bitrate is a constant in its code, 500 kbit/s."""
        del bitrate_kbps
        # It warns of environment variables that it would have set itself.
        quiet = logging.getLogger("predecessor")
        quiet.addHandler(logging.NullHandler())
        _require_free(socket.SOCK_STREAM, SERVER_PORT)
        _require_free(socket.SOCK_DGRAM, LOOPBACK_PORT)
        self._server = RTSPServer(str(SERVER_PORT), quiet)
        self._skyline = RTSPSkyLine(self._server, "/bench", quiet)
        self._skyline.start_streaming(fps, width, height)
        self._server.start()
        return "rtsp", f"rtsp://127.0.0.1:{SERVER_PORT}/bench"

    def put(self, frame: Frames) -> bool:
        """Hand over a frame."""
        return bool(self._skyline.put(frame))

    def stats(self) -> dict[str, object]:
        """Tell nothing: it does not count."""
        return {}

    def close(self) -> None:
        """Stop."""
        self._skyline.stop_streaming()
        self._server.stop()


def _require_free(kind: socket.SocketKind, port: int) -> None:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:
            # A closed connection of the last run is no program that listens.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))
        except OSError as error:
            raise RuntimeError(
                f"port {port} is taken, and the predecessor knows no other"
            ) from error


SIDE = Predecessor
