"""Copy a frame without the pixels that are hidden, and put a cover in their place."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._app.font import GLYPH_HEIGHT, text_mask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from backpack._app.redaction.regions import Box, Mask

    Frame = NDArray[np.uint8]

CELLS = 8
"""Cells of a region in each direction, at the most."""

SMALLEST_CELL = 8
"""Pixels of a cell's side: a small region has fewer cells."""

_SAMPLES = 6
"""Pixels of a cell in each direction that its mean is made of, at the most."""


def copy_hiding(
    target: Frame,
    frame: Frame,
    boxes: Sequence[Box],
    masks: Sequence[Mask],
    style: str,
    color: Sequence[int],
) -> None:
    """
    Copy a frame except what is hidden, which is covered. No hidden pixel is written.

    Args:
        target: Array of the frame's shape; its rows lie one after the other.
        frame: (height, width) or (height, width, 3 or 4), any strides. Not changed.
        boxes: Hidden rectangles within the frame.
        masks: Other hidden pixels within the frame.
        style: Of `backpack.redaction.Redaction`.
        color: Blue, green, red.

    """
    height, width = frame.shape[:2]
    for top, bottom, left, right in visible_spans(
        [*boxes, *(mask.box for mask in masks)], width, height
    ):
        target[top:bottom, left:right] = frame[top:bottom, left:right]
    for mask in masks:
        shown = _spread(~_hidden_within(mask.box, boxes, masks), target)
        np.bitwise_and(_inside(frame, mask.box), shown, out=_inside(target, mask.box))
    row = np.tile(color_of(color, frame.shape), (width, 1)).reshape(frame.shape[1:])
    for box in boxes:
        _cover(_inside(target, box), _inside(frame, box), style, row)
    for mask in masks:
        inside = _inside(target, mask.box)
        cover = np.empty_like(inside)
        _cover(cover, _inside(frame, mask.box), style, row)
        hidden = _spread(mask.pixels, target)
        # Bits of both, rather than pixels by a mask, which takes ten times as long.
        np.bitwise_and(cover, hidden, out=cover)
        np.bitwise_and(inside, np.bitwise_not(hidden, out=hidden), out=inside)
        np.bitwise_or(inside, cover, out=inside)


def visible_spans(boxes: Sequence[Box], width: int, height: int) -> Iterator[Box]:
    """Return rectangles that cover all but the boxes: top, bottom, left, right of each."""
    edges = sorted({0, height, *(box[1] for box in boxes), *(box[3] for box in boxes)})
    # Left and right of the spans above → where they begin. Few tall ones are copied faster.
    growing: dict[tuple[int, int], int] = {}
    for top in edges[:-1]:
        spans: dict[tuple[int, int], int] = {}
        at = 0
        for left, right in sorted((box[0], box[2]) for box in boxes if box[1] <= top < box[3]):
            if left > at:
                spans[at, left] = growing.pop((at, left), top)
            at = max(at, right)
        if at < width:
            spans[at, width] = growing.pop((at, width), top)
        yield from ((begun, top, left, right) for (left, right), begun in growing.items())
        growing = spans
    yield from ((begun, height, left, right) for (left, right), begun in growing.items())


def blank(target: Frame, color: Sequence[int], text: str) -> None:
    """
    Cover a whole frame, and write why.

    Args:
        target: The array.
        color: Blue, green, red.
        text: In capitals. Left out where the frame is too small for it.

    """
    height, width = target.shape[:2]
    target[:] = color_of(color, target.shape)
    scale = min(width * 8 // 10 // (6 * len(text)), height // 4 // GLYPH_HEIGHT)
    if scale < 1:
        return
    dots = text_mask(text, scale)
    top, left = (height - dots.shape[0]) // 2, (width - dots.shape[1]) // 2
    ink = 0 if sum(color) > 3 * 127 else 255
    target[top : top + dots.shape[0], left : left + dots.shape[1]][dots] = ink


def color_of(color: Sequence[int], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return a colour as a pixel of a frame of a shape."""
    blue, green, red = color
    if len(shape) == 2:  # noqa: PLR2004 - gray
        # BT.601, as the encoder has it.
        return np.array(round(0.114 * blue + 0.587 * green + 0.299 * red), np.uint8)
    return np.array([blue, green, red, 255][: shape[2]], np.uint8)


def _hidden_within(box: Box, boxes: Sequence[Box], masks: Sequence[Mask]) -> NDArray[np.bool_]:
    """Return which pixels of a rectangle anything hides."""
    left, top, right, bottom = box
    hidden = np.zeros((bottom - top, right - left), np.bool_)
    for x0, y0, x1, y1 in boxes:
        hidden[max(y0 - top, 0) : max(y1 - top, 0), max(x0 - left, 0) : max(x1 - left, 0)] = True
    for mask in masks:
        x0, y0, x1, y1 = mask.box
        x_from, x_to = max(x0, left), min(x1, right)
        y_from, y_to = max(y0, top), min(y1, bottom)
        if x_from < x_to and y_from < y_to:
            part = mask.pixels[y_from - y0 : y_to - y0, x_from - x0 : x_to - x0]
            hidden[y_from - top : y_to - top, x_from - left : x_to - left] |= part
    return hidden


def _spread(pixels: NDArray[np.bool_], frame: Frame) -> Frame:
    """Return all bits of the pixels that are set, and none of the others, in a frame's shape."""
    bits = np.negative(pixels.view(np.uint8))
    if frame.ndim == 2:  # noqa: PLR2004 - gray
        return bits
    spread = np.empty((*pixels.shape, frame.shape[2]), np.uint8)
    for channel in range(frame.shape[2]):
        spread[:, :, channel] = bits
    return spread


def _cover(target: Frame, frame: Frame, style: str, row: Frame) -> None:
    """Cover a rectangle of a frame; ``row`` is a row of the colour, as wide or wider."""
    if style == "fill":
        # By whole rows: one pixel for all of them would be copied pixel by pixel.
        target[:] = row[: target.shape[1]]
    else:
        _draw_cells(target, frame, smooth=style == "blur")


def _inside(frame: Frame, box: Box) -> Frame:
    left, top, right, bottom = box
    return frame[top:bottom, left:right]


def _draw_cells(target: Frame, frame: Frame, *, smooth: bool) -> None:
    """Draw the means of a few cells of a region, as squares or blended into each other."""
    height, width = frame.shape[:2]
    rows, columns = _edges(height), _edges(width)
    means = _means(frame, rows, columns)
    if smooth:
        target[:] = _blended(_blended(means, width, axis=1), height, axis=0) + 0.5
        return
    wide = np.repeat(means, [end - start for start, end in pairwise(columns)], axis=1)
    for row, (top, bottom) in enumerate(pairwise(rows)):
        target[top:bottom] = wide[row]


def _edges(length: int) -> list[int]:
    """Return where the cells of a region begin, and where the last one ends."""
    cells = min(CELLS, max(1, length // SMALLEST_CELL))
    return [length * number // cells for number in range(cells + 1)]


def _means(frame: Frame, rows: Sequence[int], columns: Sequence[int]) -> Frame:
    """Return the mean of each cell; of a large one that of a part of its pixels."""
    row_step = max(1, rows[1] // _SAMPLES)
    column_step = max(1, columns[1] // _SAMPLES)
    samples = frame[::row_step, ::column_step]
    tops = [-(-edge // row_step) for edge in rows]
    lefts = [-(-edge // column_step) for edge in columns]
    sums = np.add.reduceat(samples, tops[:-1], axis=0, dtype=np.uint32)
    sums = np.add.reduceat(sums, lefts[:-1], axis=1)
    heights = np.array([end - start for start, end in pairwise(tops)])
    counts = heights[:, None] * [end - start for start, end in pairwise(lefts)]
    means: Frame = (sums // counts.reshape(*counts.shape, *[1] * (frame.ndim - 2))).astype(np.uint8)
    return means


def _blended(cells: NDArray[Any], length: int, *, axis: int) -> NDArray[np.float32]:
    """Stretch cells to a length, linear between their centers."""
    count = cells.shape[axis]
    at = np.clip((np.arange(length) + 0.5) * count / length - 0.5, 0, count - 1)
    before = np.minimum(at.astype(np.int64), max(0, count - 2))
    share = (at - before).astype(np.float32)
    share = share.reshape([length if place == axis else 1 for place in range(cells.ndim)])
    first = np.take(cells, before, axis)
    blended: NDArray[np.float32] = first + share * (
        np.take(cells, np.minimum(before + 1, count - 1), axis).astype(np.float32) - first
    )
    return blended
