from __future__ import annotations

import pytest

from backpack._ipc.settings import StreamSettings


@pytest.mark.parametrize(
    ("asked", "frame", "size"),
    [
        ((None, None), (1920, 1080), (1920, 1080)),
        ((None, None), (641, 479), (640, 478)),
        ((None, None), (1, 1), (16, 16)),
        ((None, None), (8192, 1), (8192, 16)),
        ((None, None), (None, None), (640, 360)),
        ((640, 480), (1920, 1080), (640, 480)),
        ((641, 481), (1920, 1080), (640, 480)),
        ((640, None), (1920, 1080), (640, 360)),
        ((None, 480), (1920, 1080), (852, 480)),
        ((640, None), (1, 8192), (640, 8192)),
        ((None, 17), (8000, 1), (8192, 16)),
        ((640, None), (None, None), (640, 360)),
        ((320, 240), (None, None), (320, 240)),
    ],
)
def test_the_size_is_what_was_asked_for_or_the_frames(
    asked: tuple[int | None, int | None],
    frame: tuple[int | None, int | None],
    size: tuple[int, int],
) -> None:
    """Even, between 16 and 8192; one side that is asked for brings the other in proportion."""
    settings = StreamSettings(width=asked[0], height=asked[1])

    assert settings.video_size(*frame) == size
