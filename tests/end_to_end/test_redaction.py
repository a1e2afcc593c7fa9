from __future__ import annotations

import numpy as np

from backpack.redaction import Redaction
from tests.apps import streaming, watcher
from tests.clients import ffmpeg_frames
from tests.waiting import wait_for

SECRET = bytes(range(33, 81))
"""Bytes that no other pixel has in this order."""


def test_what_is_hidden_is_never_in_shared_memory() -> None:
    """Searched after each frame, whatever box, mask or style; the application's frame stays."""
    chance = np.random.default_rng(7)
    for style in ("fill", "pixelate", "blur"):
        with streaming(watcher(), fps=240, redaction=Redaction(style)) as spyglass:
            for number in range(60):
                frame = np.zeros((120, 160, 3), np.uint8)
                x, y = (int(place) for place in chance.integers(0, 100, 2))
                hidden = np.zeros((120, 160), np.bool_)
                hidden[y : y + 16, x : x + 16] = True
                frame[y : y + 16, x : x + 16] = np.frombuffer(SECRET, np.uint8).reshape(1, 16, 3)
                before = frame.copy()
                box = (x, y, x + 16, y + 16)
                polygon = [(x, y), (x + 16, y), (x + 16, y + 16), (x, y + 16)]
                redact = [[box], hidden, [polygon], "unreadable"][number % 4]
                wait_for(lambda frame=frame, redact=redact: spyglass.put(frame, redact=redact))
                writer = spyglass._frames._writer
                assert writer is not None
                assert writer.ring.memory.find(SECRET[:12]) == -1
                assert (frame == before).all()
            stats = spyglass.stats()
            assert stats.blanked >= 15
            assert stats.redacted + stats.blanked >= 60


def test_viewers_see_the_cover_and_what_lies_around_it() -> None:
    """Over RTSP, decoded: white is shown but where a box or the privacy mask is."""
    frame = np.full((240, 320, 3), 235, np.uint8)
    with streaming(
        "rtsp://127.0.0.1:0/door",
        privacy_mask=[(0.75, 0.0, 1.0, 0.25)],
        redaction=Redaction(margin=0),
    ) as spyglass:
        assert spyglass.put(frame, redact=[(80, 80, 160, 160)])
        picture = np.frombuffer(ffmpeg_frames(spyglass.urls()[0], 3)[-1], np.uint8)
        picture = picture.reshape(240, 320)
        assert picture[88:152, 88:152].max() < 60
        assert picture[8:52, 248:312].max() < 60
        assert picture[180:, :].min() > 180
        assert picture[:60, :200].min() > 180


def test_a_frame_without_word_is_blanked_where_that_is_required() -> None:
    """It is counted, and an empty list lets the next one through."""
    with streaming(watcher(), require_redaction=True) as spyglass:
        frame = np.full((120, 160, 3), 235, np.uint8)
        wait_for(lambda: spyglass.put(frame))
        writer = spyglass._frames._writer
        assert writer is not None
        assert writer.ring.memory.find(bytes([235]) * 100) == -1
        wait_for(lambda: spyglass.put(frame, redact=[]))
        assert writer.ring.memory.find(bytes([235]) * 100) != -1
        assert spyglass.stats().blanked >= 1
