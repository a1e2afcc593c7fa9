"""What viewers get who come before the application has put its first frame."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from backpack._worker.encoding.sei import REPEAT
from backpack.spyglass import SpyGlass
from tests.apps import frame, putting, streaming
from tests.clients import watching
from tests.waiting import wait_for

URL = "rtsp://127.0.0.1:0/door"


def size_told(url: str) -> tuple[int, int]:
    """Return the size that ffmpeg's library finds in a stream."""
    command = [
        *("ffprobe", "-v", "error", "-rtsp_transport", "tcp", "-of", "json"),
        *("-show_entries", "stream=width,height", url),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)
    found: dict[str, Any] = json.loads(done.stdout)["streams"][0]
    return found["width"], found["height"]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_who_came_before_the_first_frame_comes_again_for_its_size(protocol: str) -> None:
    """The card has another size: its viewers are told that it ends, and a new one gets frames'."""
    with streaming(URL) as spyglass:
        url = spyglass.urls()[0]
        with watching(url, protocols=protocol) as early:
            early.wait(3)
            assert spyglass.put(frame(500, 300))
            early.wait_end()
        with putting(spyglass):
            assert size_told(url) == (500, 300)
        wait_for(lambda: not spyglass.stats().viewers)


def test_who_came_early_to_a_stream_of_the_cards_size_stays() -> None:
    """Nothing that was told turns out to be wrong."""
    with streaming(URL) as spyglass, watching(spyglass.urls()[0]) as early:
        early.wait(3)
        for _ in range(30):
            wait_for(lambda: spyglass.put(frame(640, 360)))
        early.wait_more(10)


def test_a_viewer_can_tell_repeats_from_frames() -> None:
    """Card and repeats carry a message in the picture, frames do not."""
    with streaming(URL) as spyglass, watching(spyglass.urls()[0]) as viewer:
        assert all(REPEAT in one.data for one in viewer.wait(3))
        before = len(viewer.frames)
        with putting(spyglass, width=640, height=360):
            # Where the machine stands still for a second there are repeats among them.
            wait_for(lambda: sum(REPEAT not in one.data for one in viewer.frames[before:]) > 20)
        wait_for(lambda: REPEAT in viewer.wait_more(1)[0].data)


def test_after_a_stop_the_last_size_is_what_early_viewers_see() -> None:
    """A camera is as large as it was before: nobody has to come again."""
    spyglass = SpyGlass(URL)
    with spyglass:
        spyglass.put(frame(500, 300))
    with spyglass:
        assert size_told(spyglass.urls()[0]) == (500, 300)
        with watching(spyglass.urls()[0]) as early:
            early.wait(3)
            for _ in range(30):
                wait_for(lambda: spyglass.put(frame(500, 300)))
            early.wait_more(10)
