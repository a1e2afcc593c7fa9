"""Decide which boxes stay hidden although they are no longer given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SAME_OVERLAP = 0.2
"""Of the area that two boxes cover, what they share at least if one continues the other."""

_MOST_PAIRS = 250_000
"""With more boxes than this makes pairs of none continues another: more stays hidden."""

_NONE = np.zeros((0, 4))
_SPEED, _SEEN, _AGE = slice(4, 6), 6, 7


class HeldBoxes:
    """
    Remember boxes that are no longer given. Reads no clock.

    A box is continued by one of the next frame that overlaps it, one by one, those that
    overlap most first. A box that nothing continues stays hidden, and grows by how
    fast it moved: into every direction, for nobody knows where it went.

    Args:
        frames: For how many frames it stays.
        nanoseconds: For how long it stays. As long as either of them says.

    """

    def __init__(self, frames: int, nanoseconds: int) -> None:
        self._frames = frames
        self._nanoseconds = nanoseconds
        # Of each box: its four edges, the speed of its center in pixels per nanosecond, when
        # it was last given, and how many frames ago that was.
        self._boxes = np.zeros((0, 8))
        # Times are counted from here, so that they are exact as floats.
        self._begun_ns = 0

    @property
    def holds(self) -> bool:
        """Whether any box is remembered."""
        return bool(len(self._boxes))

    def note(self, boxes: NDArray[np.float64], now_ns: int) -> NDArray[np.float64]:
        """
        Take the boxes of a frame.

        Args:
            boxes: (n, 4) floats.
            now_ns: Monotonic time.

        Returns:
            What else is to be hidden in it: (m, 4).

        """
        if not self._frames and not self._nanoseconds:
            return _NONE
        if not len(self._boxes):
            self._begun_ns = now_ns
        now = float(now_ns - self._begun_ns)
        given = np.zeros((len(boxes), 8))
        given[:, :4], given[:, _SEEN] = boxes, now
        old = self._boxes
        if not len(old):
            self._boxes = given
            return _NONE
        old[:, _AGE] += 1
        old = old[(old[:, _AGE] <= self._frames) | (now - old[:, _SEEN] < self._nanoseconds)]
        pairs = _pairs(old, given)
        if pairs:
            before, after = [list(places) for places in zip(*pairs, strict=True)]
            moved = given[after, :4] - old[before, :4]
            passed = np.maximum(1.0, now - old[before, _SEEN])
            given[after, _SPEED] = (moved[:, :2] + moved[:, 2:]) / 2 / passed[:, None]
            old = np.delete(old, before, 0)
        self._boxes = np.concatenate([old, given]) if len(old) else given
        reach = np.abs(old[:, _SPEED]) * (now - old[:, _SEEN])[:, None]
        held = old[:, :4].copy()
        held[:, :2] -= reach
        held[:, 2:] += reach
        return held


def _pairs(old: NDArray[np.float64], new: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return which remembered box is continued by which of a frame, by their places."""
    if not 0 < len(old) * len(new) <= _MOST_PAIRS:
        return []
    starts = np.maximum(old[:, None, :2], new[:, :2])
    sides = np.minimum(old[:, None, 2:4], new[:, 2:4]) - starts
    shared = np.maximum(sides, 0).prod(2)
    areas = (old[:, 2:4] - old[:, :2]).prod(1)[:, None] + (new[:, 2:4] - new[:, :2]).prod(1)
    overlaps = shared / np.maximum(areas - shared, 1e-9)
    first, second = np.nonzero(overlaps >= _SAME_OVERLAP)
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for place in np.argsort(-overlaps[first, second], kind="stable").tolist():
        one, other = int(first[place]), int(second[place])
        if one not in pairs and other not in taken:
            pairs[one] = other
            taken.add(other)
    return list(pairs.items())
