"""Read regions of a frame as applications give them: boxes, polygons, masks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Box = tuple[int, int, int, int]
"""A rectangle of pixels: left, top, right, bottom; the last two lie outside of it."""

Corner = Any

_NO_BOXES = np.zeros((0, 4))
_FEWEST_CORNERS = 3

_ROUNDING = 1e-6

_FARTHEST = 1e7
"""What lies farther off is taken for this: no sum of such numbers overflows."""


class RegionError(ValueError):
    """What was given is no region; the message says why."""


@dataclass(frozen=True, eq=False)
class Mask:
    """
    Pixels within a rectangle.

    Attributes:
        x: Column of its left edge.
        y: Row of its upper edge.
        pixels: `bool` array (height, width).

    """

    x: int
    y: int
    pixels: NDArray[np.bool_]

    @property
    def box(self) -> Box:
        """The rectangle."""
        height, width = self.pixels.shape
        return self.x, self.y, self.x + width, self.y + height


@dataclass(frozen=True, eq=False)
class Regions:
    """
    Regions of a frame, in pixels.

    Attributes:
        boxes: (n, 4) floats: left, top, right, bottom.
        polygons: Corners of each, (k, 2) floats.
        mask: What boolean masks cover, all together.

    """

    boxes: NDArray[np.float64] = field(default_factory=lambda: _NO_BOXES)
    polygons: tuple[NDArray[np.float64], ...] = ()
    mask: Mask | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it."""
        return not len(self.boxes) and not self.polygons and self.mask is None

    def bounds(self) -> NDArray[np.float64]:
        """Return the boxes, and those around all else: (n, 4)."""
        around = [[*corners.min(0), *corners.max(0)] for corners in self.polygons]
        if self.mask is not None:
            around.append([float(edge) for edge in self.mask.box])
        return np.concatenate([self.boxes, np.array(around)]) if around else self.boxes

    def scaled(self, width: int, height: int) -> Regions:
        """
        Return them in pixels of a frame.

        A region of which no number is larger than 1 is meant in shares of the frame.
        """
        size = np.array([width, height], np.float64)
        boxes = self.boxes.copy()
        shares = (boxes <= 1).all(1)
        boxes[shares] *= np.tile(size, 2)
        polygons = tuple(one * size if one.max() <= 1 else one for one in self.polygons)
        return Regions(boxes, polygons)


def read_regions(
    given: Any,  # noqa: ANN401 - anything
    width: int | None,
    height: int | None,
) -> Regions:
    """
    Read what is to be hidden in a frame.

    Args:
        given: Boxes ``[(x0, y0, x1, y1), …]``; an array (n, 4); an object with such an
            array as ``xyxy``, as supervision's `Detections` are; polygons, each a
            sequence of at least three (x, y); boolean masks (height, width) or (n,
            height, width); or a list or tuple of these. In pixels.
        width: Pixels in a row of the frame. None: of any frame, so that no masks are taken.
        height: Rows of the frame.

    Raises:
        RegionError: It is none of these: the shape is another, a number is not finite
            or no number, or a box is reversed.

    """
    found = getattr(given, "xyxy", given)
    boxes = _as_boxes(found)
    if boxes is not None:
        return Regions(_checked_boxes(boxes))
    if isinstance(found, (list, tuple)):
        parts = [_read_one(part) for part in found]
        # A single polygon: its corners are no regions by themselves.
        if parts and all(part.shape == (2,) for part in parts):
            parts = [np.stack(parts)]
    else:
        parts = [_read_one(found)]
    some_boxes: list[NDArray[np.float64]] = []
    polygons: list[NDArray[np.float64]] = []
    masks: list[NDArray[np.bool_]] = []
    for part in parts:
        if part.dtype == np.bool_:
            masks.append(_checked_mask(part, width, height))
        elif not part.ndim:
            raise RegionError("a number is no region")
        elif part.size and part.shape[-1] == 4 and part.ndim <= 2:  # noqa: PLR2004 - x0, y0, x1, y1
            some_boxes.append(part.reshape(-1, 4))
        elif part.size and part.shape[-1] == 2 and part.ndim in (2, 3):  # noqa: PLR2004 - x, y
            polygons.extend(part if part.ndim == 3 else [part])  # noqa: PLR2004
        elif part.size:
            raise RegionError(f"a region has the shape {part.shape}")
    return Regions(
        _checked_boxes(np.concatenate(some_boxes)) if some_boxes else _NO_BOXES,
        tuple(_checked_polygon(corners) for corners in polygons),
        _joined(masks),
    )


def read_fixed_regions(given: Sequence[Any]) -> Regions:
    """
    Read regions that hold for every frame, in pixels or in shares of the frame.

    Raises:
        RegionError: They are not boxes or polygons.

    """
    return read_regions(given, None, None)


def clipped(
    boxes: NDArray[np.float64], width: int, height: int, *, margin: float = 0.0
) -> list[Box]:
    """
    Return boxes in whole pixels of a frame, rounded outwards, at least one pixel each.

    What lies outside the frame is cut off; boxes that lie outside are left out.

    Args:
        boxes: (n, 4) floats.
        width: Pixels in a row of the frame.
        height: Rows of the frame.
        margin: By which share of its size each grows, at each of its sides.

    """
    found: list[Box] = []
    # Number by number: there are few, and each call of numpy costs as much as a box.
    for x0, y0, x1, y1 in boxes.tolist():
        across, down = margin * (x1 - x0), margin * (y1 - y0)
        left, top = floor(x0 - across), floor(y0 - down)
        right, bottom = max(ceil(x1 + across), left + 1), max(ceil(y1 + down), top + 1)
        if left < width and top < height and right > 0 and bottom > 0:
            found.append((max(left, 0), max(top, 0), min(right, width), min(bottom, height)))
    return found


def polygon_mask(
    corners: NDArray[np.float64], width: int, height: int, *, outwards: bool = True
) -> Mask | None:
    """
    Return the pixels of a frame that lie in a polygon, None if there are none.

    A polygon that crosses itself covers all that it goes around (non-zero winding).

    Args:
        corners: (k, 2) floats.
        width: Pixels in a row of the frame.
        height: Rows of the frame.
        outwards: Whether pixels that are only touched count. Otherwise those at its
            edge do not.

    """
    around = clipped(np.array([[*corners.min(0), *corners.max(0)]]), width, height)
    if not around:
        return None
    left, top, right, bottom = around[0]
    shape = bottom - top, right - left + 1
    turns, touches = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    for start, end in pairwise([*corners - (left, top), corners[0] - (left, top)]):
        _add_turns(turns, start, end)
        _add_touches(touches, start, end)
    # A pixel that no edge touches lies as its center does.
    inside = np.cumsum(turns[:, :-1], 1) != 0
    touched = np.cumsum(touches[:, :-1], 1) != 0
    pixels = inside | touched if outwards else inside & ~touched
    return Mask(left, top, pixels) if pixels.any() else None


def _add_turns(turns: NDArray[np.int16], start: Corner, end: Corner) -> None:
    """Note where an edge crosses each row of pixel centers, counted up or down."""
    (x0, y0), (x1, y1) = start, end
    if y0 == y1:
        return
    rows = _whole(np.ceil(np.array(sorted((y0, y1))) - 0.5), len(turns))
    places = np.arange(*rows)
    crossings = x0 + (places + 0.5 - y0) * ((x1 - x0) / (y1 - y0))
    turns[places, _whole(np.ceil(crossings - 0.5), turns.shape[1] - 1)] += 1 if y0 < y1 else -1


def _add_touches(touches: NDArray[np.int16], start: Corner, end: Corner) -> None:
    """Note the pixels of each row that an edge goes through: where they begin and end."""
    (x0, y0), (x1, y1) = start, end
    upper, lower = min(y0, y1), max(y0, y1)
    first, after = _whole(np.array([np.floor(upper), np.floor(lower) + 1]), len(touches))
    rows = np.arange(first, after)
    if y0 == y1:
        ends = np.repeat([[x0], [x1]], len(rows), 1)
    else:
        at = np.clip(np.stack([rows, rows + 1]), upper, lower)
        ends = x0 + (at - y0) * ((x1 - x0) / (y1 - y0))
    columns = touches.shape[1] - 1
    touches[rows, _whole(np.floor(ends.min(0) - _ROUNDING), columns)] += 1
    touches[rows, _whole(np.floor(ends.max(0) + _ROUNDING) + 1, columns)] -= 1


def _whole(values: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Return whole numbers from 0 to ``most``."""
    return np.clip(values, 0, most).astype(np.int64)


def _as_boxes(found: Any) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Read boxes and nothing else, as almost all applications give them, at once."""
    try:
        # Old versions of numpy only warn of rows of different lengths.
        if isinstance(found, (list, tuple)) and any(len(part) != 4 for part in found):  # noqa: PLR2004
            return None
        array = np.asarray(found)
    except Exception:  # noqa: BLE001 - looked at part by part, which says what is wrong
        return None
    is_boxes = array.ndim == 2 and array.shape[1] == 4 and array.dtype.kind in "iuf"  # noqa: PLR2004
    return array.astype(np.float64) if is_boxes else None


def _read_one(part: Any) -> NDArray[Any]:  # noqa: ANN401
    try:
        array = np.asarray(part)
    except Exception as error:
        raise RegionError(f"{type(part).__name__} is no region: {error}") from error
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        if array.ndim and not array.size:
            return array
        raise RegionError(f"{type(part).__name__} has no numbers")
    return array.astype(np.float64)


def _joined(masks: list[NDArray[np.bool_]]) -> Mask | None:
    if not masks:
        return None
    pixels = masks[0] if len(masks) == 1 else np.logical_or.reduce(masks)
    rows = np.flatnonzero(pixels.any(1))
    if not len(rows):
        return None
    top, bottom = rows[0], rows[-1] + 1
    columns = np.flatnonzero(pixels[top:bottom].any(0))
    left, right = columns[0], columns[-1] + 1
    # A copy: the application may go on writing into its own.
    return Mask(int(left), int(top), pixels[top:bottom, left:right].copy())


def _checked_mask(part: NDArray[Any], width: int | None, height: int | None) -> NDArray[np.bool_]:
    if width is None:
        raise RegionError("a mask has the size of one frame")
    if part.ndim not in (2, 3) or part.shape[-2:] != (height, width):
        raise RegionError(
            f"a mask has the shape {part.shape}, and the frame {height} rows of {width} pixels"
        )
    mask: NDArray[np.bool_] = part.any(0) if part.ndim == 3 else part  # noqa: PLR2004
    return mask


def _checked_boxes(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    if not np.isfinite(boxes).all():
        raise RegionError("a box has a number that is not finite")
    if not (boxes[:, :2] <= boxes[:, 2:]).all():
        raise RegionError("a box is reversed: it is (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1")
    return np.clip(boxes, -_FARTHEST, _FARTHEST)


def _checked_polygon(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(corners) < _FEWEST_CORNERS:
        raise RegionError(f"a polygon has {len(corners)} corners")
    if not np.isfinite(corners).all():
        raise RegionError("a polygon has a number that is not finite")
    return np.clip(corners, -_FARTHEST, _FARTHEST)
