"""Every kind of frame is the right picture at the other end, seen by ffmpeg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._ipc.child import memory_bytes
from tests.clients import ffprobe
from tests.end_to_end.viewers import Ffmpeg, to_bgr

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Stage

PICTURES_TO_SETTLE = 15
"""Rate control needs some to get rid of the traces of another picture."""

COLOURS = [
    *((0, 0, 0), (255, 255, 255), (0, 0, 255), (0, 255, 0), (255, 0, 0)),
    *((128, 128, 128), (40, 160, 220), (200, 80, 30), (10, 10, 60), (90, 200, 90)),
]


def quarters(width: int, height: int, colours: Any = COLOURS[2:6]) -> Any:
    """Make a frame of four patches, so that a turned or shifted picture is noticed."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: height // 2, : width // 2] = colours[0]
    frame[: height // 2, width // 2 :] = colours[1]
    frame[height // 2 :, : width // 2] = colours[2]
    frame[height // 2 :, width // 2 :] = colours[3]
    return frame


def seen(stage: Stage, *frames: Any, fps: float = 25) -> Any:
    """Show one frame after the other, and give what a viewer sees at last, in colour."""
    spyglass = stage.spyglass()
    show = stage.show(spyglass, frames[0], fps)
    with Ffmpeg(spyglass.urls()[0]) as viewer:
        for frame in frames:
            show.frame = frame
            # What it had already, and what was on its way.
            viewer.wait(len(viewer.pictures) + PICTURES_TO_SETTLE)
        return to_bgr(viewer.pictures[-1], "smpte170m")


def assert_same(picture: Any, frame: Any, tolerance: float = 3) -> None:
    """Compare patch by patch: the middles of a grid of 4 x 4 fields."""
    height, width = picture.shape[:2]
    assert abs(height - frame.shape[0]) <= 1
    assert abs(width - frame.shape[1]) <= 1
    for row in range(4):
        for column in range(4):
            y, x = (2 * row + 1) * height // 8, (2 * column + 1) * width // 8
            part = picture[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).mean(axis=0)
            meant = frame[min(y, frame.shape[0] - 1), min(x, frame.shape[1] - 1)]
            assert np.abs(part - meant).max() <= tolerance, (row, column, part, meant)


@pytest.mark.parametrize(
    ("width", "height"), [(320, 240), (321, 241), (319, 240), (162, 99), (1280, 721), (64, 700)]
)
def test_every_size_is_seen_as_it_is(stage: Stage, width: int, height: int) -> None:
    """Odd sizes become even ones; nothing is shifted, mirrored or torn."""
    frame = quarters(width, height)

    assert_same(seen(stage, frame), frame)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 1), (17, 5)])
def test_the_smallest_frames_are_seen(stage: Stage, width: int, height: int) -> None:
    """Even a single pixel gets a picture, of a size that decoders take, in its colour."""
    frame = np.full((height, width, 3), (40, 160, 220), np.uint8)

    picture = seen(stage, frame)

    middle = picture[picture.shape[0] // 2, picture.shape[1] // 2]
    assert np.abs(middle - (40, 160, 220)).max() <= 4


def test_8k_is_seen_with_bounded_memory(stage: Stage) -> None:
    """The largest frame there is takes its ring and a few pictures of memory, and no more."""
    frame = quarters(7680, 4320)
    spyglass = stage.spyglass()
    stage.show(spyglass, frame, fps=2)

    with Ffmpeg(spyglass.urls()[0], "tcp", "-threads", "1") as viewer:
        picture = viewer.wait(1, 120)[0]
        used = memory_bytes(spyglass.stats().streamer_pid or 0) or 0

    assert_same(to_bgr(picture, "smpte170m"), frame, tolerance=4)
    print(f"8K: the streaming process has {used / 1e6:.0f} MB")  # noqa: T201
    assert 0 < used < 12 * frame.nbytes


def strided(width: int, height: int) -> dict[str, Any]:
    """Give one picture in every way that an array can hold it."""
    plain = quarters(width, height)
    wide = np.zeros((height, width + 64, 3), np.uint8)
    wide[:, 32:-32] = plain
    thin = np.zeros((height * 2, width * 2, 3), np.uint8)
    thin[::2, ::2] = plain
    read_only = plain.copy()
    read_only.flags.writeable = False
    return {
        "cut out of a wider one": wide[:, 32:-32],
        "every second pixel": thin[::2, ::2],
        "upside down": plain[::-1].copy()[::-1],
        "mirrored": plain[:, ::-1].copy()[:, ::-1],
        "channels reversed": plain[..., ::-1].copy()[..., ::-1],
        "columns first": np.asfortranarray(plain),
        "planes": np.ascontiguousarray(plain.transpose(2, 0, 1)).transpose(1, 2, 0),
        "read-only": read_only,
    }


def test_any_strides_give_the_same_picture(stage: Stage) -> None:
    """It does not matter how the pixels lie in memory."""
    plain = quarters(322, 178)
    other = np.full((178, 322, 3), 60, np.uint8)
    spyglass = stage.spyglass()
    show = stage.show(spyglass, plain)
    with Ffmpeg(spyglass.urls()[0]) as viewer:
        for kind, frame in strided(322, 178).items():
            assert (frame == plain).all()
            show.frame = other
            viewer.wait(len(viewer.pictures) + PICTURES_TO_SETTLE // 3)
            show.frame = frame
            viewer.wait(len(viewer.pictures) + PICTURES_TO_SETTLE)
            print(f"{kind}: {frame.strides}")  # noqa: T201 - read where it fails
            assert_same(to_bgr(viewer.pictures[-1], "smpte170m"), plain)


def test_gray_is_seen_gray(stage: Stage) -> None:
    """Two dimensions are a gray picture of full range."""
    frame = np.zeros((240, 320), np.uint8)
    frame[:120, 160:], frame[120:, :160], frame[120:, 160:] = 255, 60, 180

    assert_same(seen(stage, frame), frame[..., None].repeat(3, 2))


def test_bgra_is_seen_without_its_alpha(stage: Stage) -> None:
    """The fourth channel is passed over: nothing is blended."""
    frame = quarters(320, 240)
    alpha = np.linspace(0, 255, 320).astype(np.uint8)[None, :, None].repeat(240, 0)

    assert_same(seen(stage, np.dstack([frame, alpha])), frame)


@pytest.mark.parametrize("factor", [2, 0.5])
def test_another_size_in_mid_stream_is_scaled(stage: Stage, factor: float) -> None:
    """A larger or smaller frame of the same shape fills the picture that was begun."""
    before = quarters(320, 240, COLOURS[6:10])
    after = quarters(round(320 * factor), round(240 * factor))

    assert_same(seen(stage, before, after), quarters(320, 240))


def test_another_shape_in_mid_stream_gets_bars(stage: Stage) -> None:
    """Aspect is kept: what does not fit is black at both sides."""
    picture = seen(stage, quarters(320, 240), np.full((240, 120, 3), (40, 160, 220), np.uint8))

    assert picture.shape[:2] == (240, 320)
    assert np.abs(picture[120, 160] - (40, 160, 220)).max() <= 3
    assert picture[120, 30].max() <= 3
    assert picture[120, 290].max() <= 3


def test_frames_of_all_kinds_follow_one_another(stage: Stage) -> None:
    """Gray, BGRA and BGR, larger and smaller, may come in turns: the last one is seen."""
    last = quarters(320, 240)
    others = [
        np.full((480, 640), 200, np.uint8),
        np.full((100, 100, 4), 90, np.uint8),
        np.full((1080, 1920, 3), 30, np.uint8),
    ]

    assert_same(seen(stage, last, *others, last), last)


@pytest.mark.parametrize(("width", "height"), [(400, 300), (1280, 720)])
def test_colours_are_what_was_put(stage: Stage, width: int, height: int) -> None:
    """Read by the matrix that the stream names, patches are within 3 levels, HD or not."""
    frame = np.zeros((height, width, 3), np.uint8)
    for place, colour in enumerate(COLOURS):
        row, column = divmod(place, 5)
        frame[row * height // 2 : (row + 1) * height // 2, column * width // 5 :] = colour
    spyglass = stage.spyglass()
    stage.show(spyglass, frame)

    said = ffprobe(spyglass.urls()[0])
    with Ffmpeg(spyglass.urls()[0]) as viewer:
        picture = to_bgr(viewer.wait(PICTURES_TO_SETTLE)[-1], said["color_space"])

    assert said["color_space"] in ("smpte170m", "bt470bg")
    assert said["color_range"] == "tv"
    worst = 0.0
    for place, colour in enumerate(COLOURS):
        row, column = divmod(place, 5)
        y, x = (2 * row + 1) * height // 4, (2 * column + 1) * width // 10
        part = picture[y - 9 : y + 10, x - 9 : x + 10].reshape(-1, 3).mean(axis=0)
        worst = max(worst, float(np.abs(part - colour).max()))
    print(f"colours: at most {worst:.1f} levels off")  # noqa: T201
    assert worst <= 3
