"""Whoever watches in a browser sees what is, after hours, and after a narrow line, too."""

from __future__ import annotations

import contextlib
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from backpack.web import WebServer, WebSpyGlass
from tests.end_to_end.long import SOAK_SECONDS, camera, memory, scaled
from tests.numbered import BLOCK, CHECK_BITS, NUMBER_BITS, _check
from tests.outputs.web.conftest import browser, open_page  # noqa: F401 - fixtures
from tests.outputs.web.relay import Relay
from tests.outputs.web.screen import _READ, until, wait_picture
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.apps import Putter
    from tests.end_to_end.conftest import Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 + 2 * SOAK_SECONDS)]

WIDTH, HEIGHT = 1280, 720
GRAIN = 24

NARROW = 1_000_000 / 8
"""Bytes a second."""


class Door:
    """A stream that is shown on a web server, and a camera that puts into it."""

    def __init__(self, stage: Stage) -> None:
        self.server = WebServer(0, allowed_hosts=["spy.test"], required=True)
        stage.finally_do(self.server.stop)
        self.spyglass = WebSpyGlass(self.server, "/door", bitrate_kbps=2500, required=True)
        stage.finally_do(self.spyglass.stop_streaming)
        self.server.start()
        self.spyglass.start_streaming()
        self.putter = camera(stage, self.spyglass, WIDTH, HEIGHT, GRAIN)

    @property
    def streamer(self) -> int:
        """The streaming process."""
        pid = self.spyglass.stats().streamer_pid
        assert pid is not None
        return pid

    def open(self, page: Any, host: str = "127.0.0.1", port: int = 0) -> None:
        """Open the page, which stays with its WebSocket, and wait for the first picture."""
        page.add_init_script("delete window.RTCPeerConnection")
        url = self.server.url("/door", host)
        page.goto(url.replace(f":{self.server.port}", f":{port or self.server.port}"))
        wait_picture(page)


def lateness(page: Any, putter: Putter) -> float:
    """Tell how old the picture on the screen is, in seconds; infinite for one without a number."""
    word = page.evaluate(_READ, [WIDTH, HEIGHT, NUMBER_BITS + CHECK_BITS, BLOCK])
    now_ns = time.time_ns()
    number = word >> CHECK_BITS
    if word & (1 << CHECK_BITS) - 1 != _check(number):
        return float("inf")
    # Numbers begin again after half an hour.
    last = putter.last
    number = last - (last - number) % (1 << NUMBER_BITS)
    return (now_ns - putter.puts[number].before_ns) / 1e9 if number in putter.puts else float("inf")


def test_two_hours_change_nothing(stage: Stage, open_page: Callable[..., Any]) -> None:  # noqa: F811
    """The streaming process' memory at the end is that of the beginning, and so is the latency."""
    door = Door(stage)
    page = open_page()
    door.open(page)
    begin = time.monotonic()
    samples: list[tuple[float, int]] = []
    while time.monotonic() - begin < SOAK_SECONDS:
        page.wait_for_timeout(max(200, SOAK_SECONDS))
        samples.append((lateness(page, door.putter), memory(door.streamer)))

    # A tenth, and in a short run as much as a moment's hold-up does not decide.
    part = max(40, len(samples) // 10)
    # What the first part fills for the first time, buffers and caches, is not judged.
    lates = [late for late, _ in samples[part:]]
    held = [size for _, size in samples[part:]]
    assert statistics.median(lates[-part:]) < statistics.median(lates[:part]) + 0.1
    assert statistics.median(held[-part:]) < 1.05 * statistics.median(held[:part]) + 2e6
    stats = door.spyglass.stats()
    assert stats.starts == 1
    assert stats.viewers == 1
    assert not door.putter.failures


@pytest.mark.parametrize("host", ["127.0.0.1", "spy.test"])
def test_after_a_minute_on_a_narrow_line_it_is_in_time(
    stage: Stage,
    open_page: Callable[..., Any],  # noqa: F811
    host: str,
) -> None:
    """Behind a tunnel that takes 4 MB at once, with either decoder; what waits there is little."""
    door = Door(stage)
    with contextlib.closing(Relay(door.server.port)) as relay:
        page = open_page()
        door.open(page, host, relay.port)
        until(page, lambda: lateness(page, door.putter) < 0.5)

        relay.rate = NARROW
        end = time.monotonic() + scaled(60, 8)
        waiting = 0
        while time.monotonic() < end:
            page.wait_for_timeout(100)
            waiting = max(waiting, relay.waiting)
        relay.rate = 0
        took = until(page, lambda: lateness(page, door.putter) < 0.2, what="it stays late")

    # 13 s of video would fit in there.
    assert waiting < 500_000
    assert took < 3
    page.close()
    wait_for(lambda: door.spyglass.stats().viewers == 0)
