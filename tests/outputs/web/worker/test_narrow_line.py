from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.screen import number_on, until, wait_picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.outputs.web.relay import Relay
    from tests.outputs.web.rig import Rig
    from tests.streams import NumberedStream

PADDING_BYTES = 10_000
"""On each of 30 pictures a second: 2.4 Mbit/s."""

NARROW = 1_000_000 / 8
"""Bytes a second."""

NARROW_SECONDS = 4.0


def lateness(page: Any, stream: NumberedStream) -> float:
    """Tell how old the picture on the screen is, in seconds; 3 where it begins again."""
    number = number_on(page)
    if number not in stream.published:
        return 3.0
    return (time.monotonic_ns() - stream.published[number].pts_ns) / 1e9


@pytest.mark.parametrize("host", ["127.0.0.1", "spy.test"])
def test_a_narrow_line_makes_gaps_and_no_delay(
    rig: Rig, relay_to: Callable[[int], Relay], open_page: Callable[..., Any], host: str
) -> None:
    """Through a tunnel that takes 4 MB at once: what waits in it is bounded, and so is latency."""
    stream = rig.stream(padding_bytes=PADDING_BYTES)
    serving = rig.serve(allowed_hosts=("spy.test",))
    serving.mount("/cam", stream.hub)
    relay = relay_to(serving.port)
    page = open_page(serving.url("/cam", host=host, port=relay.port))
    wait_picture(page)
    until(page, lambda: lateness(page, stream) < 0.5)

    relay.rate = NARROW
    end = time.monotonic() + NARROW_SECONDS
    worst, waiting = 0.0, 0
    seen = set()
    while time.monotonic() < end:
        page.wait_for_timeout(50)
        worst = max(worst, lateness(page, stream))
        waiting = max(waiting, relay.waiting)
        seen.add(number_on(page))

    # 13 s of video would fit into the relay, and it would be as late.
    assert waiting < 400_000
    assert worst < 4
    assert len(seen) > 3
    assert serving.lost() > 0
    relay.rate = 0
    took = until(page, lambda: lateness(page, stream) < 0.2, what="it stays late")
    assert took < 10
    until(page, lambda: serving.viewers() == 1)


def test_an_element_that_shows_nothing_is_helped_before_all_begins_again(
    rig: Rig, open_page: Callable[..., Any]
) -> None:
    """As one that has run dry on a narrow line: it is sent to the newest picture first."""
    serving = rig.serve(allowed_hosts=("spy.test",))
    serving.mount("/cam", rig.stream().hub)
    page = open_page(serving.url("/cam", host="spy.test"))
    wait_picture(page)

    page.evaluate("""() => {
      window.happened = [];
      const video = document.querySelector("video");
      for (const name of ["seeking", "emptied"]) {
        video.addEventListener(name, () => window.happened.push(name));
      }
      // It tells of no picture any more.
      video.requestVideoFrameCallback = () => 0;
    }""")

    until(page, lambda: "emptied" in page.evaluate("window.happened"), what="it stays stuck")
    # Once for each picture that still came.
    happened = [name for name, _ in groupby(page.evaluate("window.happened"))]
    assert happened[:2] == ["seeking", "emptied"]
