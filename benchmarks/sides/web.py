"""Be watched in a browser, at the bit rate that a viewer's cost is told for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack.web import WebServer, WebSpyGlass
from benchmarks.web_browser import INSECURE_HOST

if TYPE_CHECKING:
    from benchmarks.frames import Frames

__all__ = ["SIDE"]

BITRATE_KBPS = 2500


class Web:
    """Use the web server as its guide says, on a free port."""

    def __init__(self) -> None:
        self._server = WebServer(0, allowed_hosts=[INSECURE_HOST], required=True)
        self._spy = WebSpyGlass(self._server, "/bench", bitrate_kbps=BITRATE_KBPS, required=True)

    def open(self, width: int, height: int, fps: int, bitrate_kbps: int) -> tuple[str, str]:
        """Start; the size comes from the first frame."""
        del width, height, bitrate_kbps
        self._server.start()
        self._spy.start_streaming(fps=fps)
        return "web", self._server.url("/bench")

    def put(self, frame: Frames) -> bool:
        """Hand over a frame."""
        return self._spy.put(frame)

    def stats(self) -> dict[str, object]:
        """Tell what SpyGlass has counted."""
        return self._spy.stats().to_dict()

    def close(self) -> None:
        """Stop."""
        self._spy.stop_streaming()
        self._server.stop()


SIDE = Web
