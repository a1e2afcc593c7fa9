from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from backpack._app.redaction.regions import (
    RegionError,
    clipped,
    polygon_mask,
    read_fixed_regions,
    read_regions,
)

SQUARE = [(1, 1), (5, 1), (5, 5), (1, 5)]
MASK = np.zeros((6, 8), np.bool_)
MASK[2:4, 3:7] = True


@pytest.mark.parametrize(
    "given",
    [
        [(1, 2, 3, 4)],
        [[1, 2, 3, 4]],
        ((1.0, 2.0, 3.0, 4.0),),
        np.array([[1, 2, 3, 4]]),
        np.array([[1, 2, 3, 4]], np.float16),
        np.array([[1, 2, 3, 4]], np.uint8),
        [np.array([1, 2, 3, 4])],
        SimpleNamespace(xyxy=np.array([[1, 2, 3, 4]], np.float32), confidence=[0.5]),
    ],
)
def test_boxes_come_in_many_shapes(given: object) -> None:
    """Lists, arrays of any numeric type, and what detectors return."""
    regions = read_regions(given, 8, 6)
    assert regions.boxes.tolist() == [[1, 2, 3, 4]]
    assert not regions.polygons
    assert regions.mask is None


@pytest.mark.parametrize(
    "given", [SQUARE, [SQUARE], np.array(SQUARE), [np.array(SQUARE, float)], np.array([SQUARE])]
)
def test_polygons_are_told_from_boxes_by_their_corners(given: object) -> None:
    """One alone, or several."""
    regions = read_regions(given, 8, 6)
    assert [one.tolist() for one in regions.polygons] == [[list(corner) for corner in SQUARE]]
    assert not len(regions.boxes)


@pytest.mark.parametrize("given", [MASK, np.stack([MASK, MASK]), [MASK], [MASK, MASK]])
def test_masks_are_put_together_and_copied(given: Any) -> None:
    """Of them the rectangle around what is set is kept; the application may write on."""
    regions = read_regions(given, 8, 6)
    assert regions.mask is not None
    assert regions.mask.box == (3, 2, 7, 4)
    assert regions.mask.pixels.all()
    assert not np.shares_memory(regions.mask.pixels, MASK)
    assert regions.bounds().tolist() == [[3, 2, 7, 4]]


def test_kinds_can_be_mixed() -> None:
    """A list may have boxes, polygons and masks."""
    regions = read_regions([(0, 0, 1, 1), SQUARE, MASK], 8, 6)
    assert regions.bounds().tolist() == [[0, 0, 1, 1], [1, 1, 5, 5], [3, 2, 7, 4]]


@pytest.mark.parametrize(
    "given", [[], (), np.zeros((0, 4)), np.zeros((0, 6, 8), np.bool_), np.zeros((6, 8), np.bool_)]
)
def test_nothing_to_hide_is_nothing(given: object) -> None:
    """An empty list, and what detectors return that have found nothing."""
    assert read_regions(given, 8, 6).is_empty


class _Raising:
    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("on another device")


@pytest.mark.parametrize(
    "given",
    [
        [(1, 2, 3, float("nan"))],
        [(1, 2, 3, float("inf"))],
        [(3, 2, 1, 4)],
        [(1, 4, 3, 2)],
        [("1", "2", "3", "4")],
        [(1, 2, 3, 4j)],
        [(1, 2, 3)],
        [(1, 2, 3, 4, 5)],
        (1, 2, 3, 4),
        np.zeros((2, 5)),
        np.zeros((1, 1, 4)),
        np.zeros((7, 8), np.bool_),
        np.zeros(6, np.bool_),
        [(1, 1), (2, 2)],
        [[(1, 1), (2, float("nan")), (3, 3)]],
        [None],
        [object()],
        [_Raising()],
        _Raising(),
        "everything",
        7,
        True,
        {1, 2},
        {"boxes": []},
        iter([(1, 2, 3, 4)]),
    ],
    ids=lambda given: re.sub(" at 0x[0-9a-f]+", "", repr(given)),
)
def test_what_cannot_be_read_is_refused(given: object) -> None:
    """Whatever it is, one kind of error says why."""
    with pytest.raises(RegionError):
        read_regions(given, 8, 6)


def test_what_holds_for_every_frame_has_no_masks() -> None:
    """They would have the size of one frame."""
    assert len(read_fixed_regions([(0, 0, 1, 1)]).boxes) == 1
    with pytest.raises(RegionError):
        read_fixed_regions([MASK])


def test_numbers_up_to_one_are_shares_of_the_frame() -> None:
    """Of boxes and of polygons, each by itself."""
    regions = read_fixed_regions(
        [(0.25, 0.5, 0.5, 1.0), (10, 10, 20, 20), [(0, 0), (1, 0), (0.5, 1)]]
    ).scaled(80, 60)
    assert regions.boxes.tolist() == [[20, 30, 40, 60], [10, 10, 20, 20]]
    assert regions.polygons[0].tolist() == [[0, 0], [80, 0], [40, 60]]


def test_boxes_are_rounded_outwards_and_cut_at_the_edge() -> None:
    """A pixel that a box only touches is hidden; one outside is left out."""
    boxes = np.array(
        [[1.2, 1.8, 2.1, 2.2], [-5, -5, 1, 1], [7, 5, 99, 99], [9, 0, 10, 1], [3, 3, 3, 3]]
    )
    assert clipped(boxes, 8, 6) == [(1, 1, 3, 3), (0, 0, 1, 1), (7, 5, 8, 6), (3, 3, 4, 4)]
    assert clipped(np.array([[2.0, 2, 4, 4]]), 8, 6, margin=0.5) == [(1, 1, 5, 5)]
    assert clipped(np.array([[-1e300, 0, 1e300, 1]]), 8, 6) == [(0, 0, 8, 1)]


@pytest.mark.parametrize("seed", range(40))
def test_a_polygon_hides_all_that_it_touches_and_shows_only_what_lies_within(seed: int) -> None:
    """Measured against points that are drawn within it and outside of it."""
    chance = np.random.default_rng(seed)
    corners = chance.uniform(-4, 24, (int(chance.integers(3, 8)), 2))
    points = chance.uniform(0, 20, (4000, 2))
    within = _winds_around(corners, points)
    hidden = np.zeros((20, 20), np.bool_)
    shown = np.zeros((20, 20), np.bool_)
    for pixels, outwards in ((hidden, True), (shown, False)):
        mask = polygon_mask(corners, 20, 20, outwards=outwards)
        if mask is not None:
            left, top, right, bottom = mask.box
            pixels[top:bottom, left:right] = mask.pixels
    columns, rows = points.astype(int).T

    assert hidden[rows, columns][within].all()
    assert not shown[rows, columns][~within].any()
    assert not (shown & ~hidden).any()


def _winds_around(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return which points a polygon goes around, by the angles to its corners."""
    turned = np.zeros(len(points))
    for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
        before, after = start - points, end - points
        cross = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
        turned += np.arctan2(cross, (before * after).sum(1))
    return np.asarray(np.abs(turned) > np.pi)


def test_a_polygon_outside_is_none() -> None:
    """It hides nothing."""
    assert polygon_mask(np.array([(30.0, 30), (40, 30), (35, 40)]), 20, 20) is None
