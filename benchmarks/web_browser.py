"""
Watch as people do, in Chromium, and read the frames' numbers off the picture.

The page is SpyGlass' own, untouched; what is put beside it (``WATCH``) looks
at a few pixels each time that a picture was drawn, and notes when.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from benchmarks import frames
from benchmarks.processes import NANOSECOND

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from playwright.sync_api import Browser, BrowserContext

__all__ = ["INSECURE_HOST", "Page", "Seen", "Visit", "at_host", "browser"]

# Leads here; and what comes from such a name, other than from 127.0.0.1, is not secure.
INSECURE_HOST = "spy.test"

FIRST_PICTURE_LIMIT_SECONDS = 20.0

# Number of the frame, and when it was read off the picture, on the monotonic clock.
Seen = list[tuple[int, int]]

# A canvas that is read is drawn first, so the time that is noted is that of the
# pixels and not of the order to draw them. A video is read when it says that it
# shows another picture.
WATCH = """
([square, squares]) => {
  window.benchSeen = [];
  const note = (context, y) => {
    const row = context.getImageData(0, y, square * squares, 1).data;
    let word = 0;
    for (let i = 0; i < squares; i += 1) {
      word = word * 2 + (row[(i * square + square / 2) * 4] > 127 ? 1 : 0);
    }
    window.benchSeen.push([word, performance.timeOrigin + performance.now()]);
  };

  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (source, ...where) {
    draw.call(this, source, ...where);
    if (this.canvas.id === "canvas") note(this, square / 2);
  };

  const strip = document.createElement("canvas");
  strip.width = square * squares;
  strip.height = 1;
  const context = strip.getContext("2d", { willReadFrequently: true });
  const follow = (video) => {
    const look = () => {
      draw.call(context, video, 0, square / 2, strip.width, 1, 0, 0, strip.width, 1);
      note(context, 0);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes) {
      for (const node of addedNodes) if (node.localName === "video") follow(node);
    }
  }).observe(document, { childList: true, subtree: true });
}
"""

# For a page that is to stay with its WebSocket: it changes by itself otherwise.
NO_WEBRTC = "delete window.RTCPeerConnection"


def at_host(url: str, host: str, port: int | None = None) -> str:
    """Give the same address by another name of the host, and through another port."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{host}:{port or parts.port}").geturl()


class Page:
    """
    A page of its own: no cookies and no cache of others.

    Args:
        browser: Chromium.
        url: What is opened.
        webrtc: Whether the page finds WebRTC in the browser.

    """

    def __init__(self, browser: Browser, url: str, *, webrtc: bool) -> None:
        self._context: BrowserContext = browser.new_context()
        self._context.add_init_script(f"({WATCH})([{frames.SQUARE}, {frames.SQUARES}])")
        if not webrtc:
            self._context.add_init_script(NO_WEBRTC)
        self._page = self._context.new_page()
        self.opened_ns = time.monotonic_ns()
        self._page.goto(url, wait_until="commit")

    def close(self) -> None:
        """Leave."""
        self._context.close()

    def wait_for_picture(self) -> float:
        """
        Wait for the first picture.

        Returns:
            How long it took from the order to open the page, in seconds.

        """
        end = time.monotonic() + FIRST_PICTURE_LIMIT_SECONDS
        # The first one or two may be the card that says that there is none yet, which has none.
        while not (seen := self.seen()):
            if time.monotonic() > end:
                raise TimeoutError("no picture has a number")
            self.pause(0.02)
        return (seen[0][1] - self.opened_ns) / NANOSECOND

    def uses_webrtc(self, wait_seconds: float) -> bool:
        """Tell whether the page comes to show what comes by WebRTC."""
        end = time.monotonic() + wait_seconds
        while self._page.get_attribute("#stage", "data-transport") != "webrtc":
            if time.monotonic() > end:
                return False
            self.pause(0.05)
        return True

    @property
    def player(self) -> str:
        """What the page decodes with."""
        return str(self._page.get_attribute("#stage", "data-player"))

    def pause(self, seconds: float) -> None:
        """Let time pass, and the page go on."""
        self._page.wait_for_timeout(seconds * 1000)

    def seen(self) -> Seen:
        """Tell what was on the picture so far."""
        words: list[tuple[int, float]] = self._page.evaluate("window.benchSeen || []")
        wall_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()
        numbers = ((frames.unpack(word), ms) for word, ms in words)
        return [
            (number, int(ms * 1e6) - wall_minus_monotonic_ns)
            for number, ms in numbers
            if number is not None
        ]


class Visit(Protocol):
    """What opens a page for the time of a ``with`` block."""

    def __call__(self, url: str, *, webrtc: bool = False) -> AbstractContextManager[Page]:
        """Open a page."""
        ...


@contextlib.contextmanager
def browser() -> Iterator[Visit]:
    """
    Run the system's Chromium, without a screen.

    Yields:
        What opens a page.

    """
    # Nothing else here needs it.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise RuntimeError("Chromium is not installed: apt-get install chromium")
    arguments = [f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"]
    if os.geteuid() == 0:
        # Chromium's own sandbox refuses to run as root, as in a container.
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=arguments)

        @contextlib.contextmanager
        def visit(url: str, *, webrtc: bool = False) -> Iterator[Page]:
            with contextlib.closing(Page(chromium, url, webrtc=webrtc)) as page:
                yield page

        yield visit
        chromium.close()
