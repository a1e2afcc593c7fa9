from __future__ import annotations

import itertools

import numpy as np
import pytest

from backpack._app.redaction.cover import (
    CELLS,
    SMALLEST_CELL,
    blank,
    color_of,
    copy_hiding,
    visible_spans,
)
from backpack._app.redaction.regions import Mask

UNTOUCHED = 77
COLOR = (10, 20, 30)


def random_regions(chance: np.random.Generator, width: int, height: int) -> tuple[list, list]:
    """Draw boxes and masks within a frame."""

    def box() -> tuple[int, int, int, int]:
        x0, x1 = sorted(chance.integers(0, width + 1, 2).tolist())
        y0, y1 = sorted(chance.integers(0, height + 1, 2).tolist())
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)

    boxes = [
        (x0, y0, min(x1, width), min(y1, height))
        for x0, y0, x1, y1 in (box() for _ in range(chance.integers(0, 6)))
        if x0 < width and y0 < height
    ]
    masks = []
    for _ in range(chance.integers(0, 3)):
        x0, y0 = int(chance.integers(0, width)), int(chance.integers(0, height))
        pixels = chance.random((chance.integers(1, height - y0 + 1), width - x0))
        masks.append(Mask(x0, y0, pixels < chance.random()))
    return boxes, masks


def hidden_pixels(boxes: list, masks: list, width: int, height: int) -> np.ndarray:
    """Return what they hide, pixel by pixel."""
    hidden = np.zeros((height, width), np.bool_)
    for x0, y0, x1, y1 in boxes:
        hidden[y0:y1, x0:x1] = True
    for mask in masks:
        x0, y0, x1, y1 = mask.box
        hidden[y0:y1, x0:x1] |= mask.pixels
    return hidden


@pytest.mark.parametrize("style", ["fill", "pixelate", "blur"])
@pytest.mark.parametrize("channels", [None, 3, 4])
@pytest.mark.parametrize("seed", range(25))
def test_what_is_hidden_is_covered_and_all_else_is_copied(
    style: str, channels: int | None, seed: int
) -> None:
    """Whatever overlaps, every pixel is written, the frame is left alone."""
    chance = np.random.default_rng(seed)
    width, height = (int(side) for side in chance.integers(1, 90, 2))
    shape = (height, width) if channels is None else (height, width, channels)
    # Hidden pixels differ from the means of their cells by half of the range at least.
    frame = chance.choice(np.array([0, 255], np.uint8), shape)
    boxes, masks = random_regions(chance, width, height)
    hidden = hidden_pixels(boxes, masks, width, height)
    before, target = frame.copy(), np.full(shape, UNTOUCHED, np.uint8)

    copy_hiding(target, frame, boxes, masks, style, COLOR)

    assert (frame == before).all()
    assert (target[~hidden] == frame[~hidden]).all()
    if style == "fill":
        assert (target[hidden] == color_of(COLOR, shape)).all()


@pytest.mark.parametrize("side", [1, 7, 8, 15, 16, 64, 65, 200, 333])
def test_of_a_region_only_the_means_of_few_cells_are_seen(side: int) -> None:
    """At most eight in each direction, none smaller than eight pixels; noise has one gray."""
    frame = np.random.default_rng(side).integers(0, 256, (side, side, 3)).astype(np.uint8)
    target = np.zeros_like(frame)

    copy_hiding(target, frame, [(0, 0, side, side)], [], "pixelate", COLOR)

    cells = min(CELLS, max(1, side // SMALLEST_CELL))
    assert len(np.unique(target.reshape(-1, 3), axis=0)) <= cells**2
    edges = [side * number // cells for number in range(cells + 1)]
    for (top, bottom), (left, right) in itertools.product(itertools.pairwise(edges), repeat=2):
        assert (target[top:bottom, left:right] == target[top, left]).all()
        if side >= 64:
            mean = frame[top:bottom, left:right].mean((0, 1))
            assert np.abs(target[top, left] - mean).max() < 60


def test_a_blurred_region_is_as_smooth_as_its_cells() -> None:
    """Of black and white stripes one gray stays."""
    frame = np.zeros((160, 160), np.uint8)
    frame[:, ::2] = 255
    target = np.zeros_like(frame)
    copy_hiding(target, frame, [(0, 0, 160, 160)], [], "blur", COLOR)
    assert np.abs(np.diff(target.astype(int), axis=1)).max() <= 16


def test_strides_do_not_matter() -> None:
    """A frame may be a view of another array, turned or with every second pixel."""
    whole = np.random.default_rng(1).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    for view in (whole[::-1, :, ::-1], whole[::2, ::2], np.asfortranarray(whole)):
        target, plain = np.zeros(view.shape, np.uint8), np.zeros(view.shape, np.uint8)
        for copy, frame in ((target, view), (plain, view.copy())):
            copy_hiding(copy, frame, [(2, 3, 20, 18)], [], "pixelate", COLOR)
        assert (target == plain).all()


@pytest.mark.parametrize("seed", range(20))
def test_spans_cover_all_but_the_boxes_once(seed: int) -> None:
    """No pixel twice, and none of a box."""
    chance = np.random.default_rng(seed)
    boxes, _ = random_regions(chance, 30, 20)
    counts = np.zeros((20, 30), int)
    for top, bottom, left, right in visible_spans(boxes, 30, 20):
        counts[top:bottom, left:right] += 1
    assert (counts == ~hidden_pixels(boxes, [], 30, 20)).all()


@pytest.mark.parametrize("shape", [(360, 640, 3), (360, 640, 4), (360, 640), (4, 4, 3), (1, 1)])
def test_a_blanked_frame_says_why_where_it_can(shape: tuple[int, ...]) -> None:
    """Nothing else of it is seen."""
    frame = np.full(shape, UNTOUCHED, np.uint8)
    blank(frame, (0, 0, 0), "HIDDEN")
    assert set(np.unique(frame)) <= {0, 255}
    assert (frame[..., 0] if len(shape) == 3 else frame).any() == (shape[0] > 100)
