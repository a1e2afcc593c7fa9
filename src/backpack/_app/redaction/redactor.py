"""Decide of each frame what of it is hidden, and whether it may be shown at all."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._app.notices import notify
from backpack._app.redaction.cover import blank, copy_hiding, visible_spans
from backpack._app.redaction.held_boxes import HeldBoxes
from backpack._app.redaction.regions import (
    Box,
    Mask,
    RegionError,
    Regions,
    clipped,
    polygon_mask,
    read_fixed_regions,
    read_regions,
)
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from backpack.redaction import Redaction

    Fill = Callable[[NDArray[np.uint8], NDArray[np.uint8]], None]

NOT_GIVEN = "HIDDEN: NO REDACTION WAS GIVEN"
FAILED = "HIDDEN: REDACTION FAILED"
"""What viewers read on a frame that is blanked."""

_MOST_BOXES = 64
"""More are made a mask, which costs the same however many there are."""

_NO_REGIONS = Regions()


class Redactor:
    """
    Hide what is to be hidden in the frames of one stream, before anything else sees them.

    A frame is blanked, and that is counted and logged once for each reason, where it is not
    known for certain what to hide in it. Not thread-safe: used under the frame writer's lock.

    Args:
        settings: How hidden regions look, and how long they stay hidden.
        privacy_mask: Boxes and polygons that are hidden in every frame, in pixels or shares.
        show_only: All but these is hidden in every frame. None: no such limit.
        required: Whether frames are blanked that come without word of what to hide.
        logger: Takes the warnings.

    Attributes:
        redacted: Frames of which something was hidden.
        blanked: Frames that were hidden as a whole.

    Raises:
        SettingsError: A region cannot be.

    """

    def __init__(
        self,
        settings: Redaction,
        *,
        privacy_mask: Sequence[Any] | None,
        show_only: Sequence[Any] | None,
        required: bool,
        logger: logging.Logger,
    ) -> None:
        self._settings = settings
        self._hidden = _fixed("privacy_mask", privacy_mask)
        self._shown = None if show_only is None else _fixed("show_only", show_only)
        self._required = required
        self._logger = logger
        self._held = HeldBoxes(settings.hold_frames, round(settings.hold_seconds * 1e9))
        self._has_fixed = self._shown is not None or not self._hidden.is_empty
        # What is hidden in every frame of this width and height.
        self._fixed_of: tuple[int, int] | None = None
        self._fixed_parts: tuple[list[Box], list[Mask]] = ([], [])
        self._warned: set[str] = set()
        self.redacted = 0
        self.blanked = 0

    def look(self, redact: object, width: int, height: int, now_ns: int) -> Fill | None:
        """
        Take what the application wants hidden in a frame, whether it is copied or not.

        Args:
            redact: As `SpyGlass.put` has it. None: not given.
            width: Pixels in a row of the frame.
            height: Rows of the frame.
            now_ns: Monotonic time.

        Returns:
            What copies the frame. None: nothing is hidden in it.

        """
        regions = _NO_REGIONS
        if redact is None:
            if self._required:
                self._warn("A frame was put without redact=, which require_redaction asks for.")
                return self._blank(NOT_GIVEN)
            if not self._has_fixed and not self._held.holds:
                return None
        else:
            try:
                regions = read_regions(redact, width, height)
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be shown
                self._warn(f"A frame was hidden as a whole, since redact= is invalid: {error}.")
                return self._blank(FAILED)
        held = self._held.note(regions.bounds(), now_ns)
        if regions.is_empty and not len(held) and not self._has_fixed:
            return None
        return self._hide(regions, held)

    def _blank(self, text: str) -> Fill:
        def fill(target: NDArray[np.uint8], _: NDArray[np.uint8]) -> None:
            blank(target, self._settings.color, text)
            self.blanked += 1

        return fill

    def _hide(self, regions: Regions, held: NDArray[np.float64]) -> Fill:
        def fill(target: NDArray[np.uint8], frame: NDArray[np.uint8]) -> None:
            try:
                height, width = frame.shape[:2]
                boxes, masks = self._parts(regions, held, width, height)
                copy_hiding(target, frame, boxes, masks, self._settings.style, self._settings.color)
                self.redacted += bool(boxes or masks)
            except Exception as error:
                self._logger.debug("Redaction has failed.", exc_info=True)
                self._warn(f"A frame was hidden as a whole, since redaction failed: {error!r}.")
                self._blank(FAILED)(target, frame)

        return fill

    def _parts(
        self, regions: Regions, held: NDArray[np.float64], width: int, height: int
    ) -> tuple[list[Box], list[Mask]]:
        if self._fixed_of != (width, height):
            self._fixed_parts = self._fixed(width, height)
            self._fixed_of = width, height
        fixed_boxes, fixed_masks = self._fixed_parts
        margin = self._settings.margin
        given = [
            *clipped(regions.boxes, width, height, margin=margin),
            *clipped(held, width, height, margin=margin),
        ]
        boxes = [*fixed_boxes, *given]
        masks = [*fixed_masks, *_masks(regions.polygons, width, height)]
        if regions.mask is not None:
            masks.append(regions.mask)
        if len(boxes) > _MOST_BOXES:
            masks.append(_as_mask(boxes, width, height))
            boxes = []
        return boxes, masks

    def _fixed(self, width: int, height: int) -> tuple[list[Box], list[Mask]]:
        """Return what is hidden in every frame of a size."""
        hidden = self._hidden.scaled(width, height)
        boxes = clipped(hidden.boxes, width, height)
        masks = _masks(hidden.polygons, width, height)
        if self._shown is not None:
            shown = self._shown.scaled(width, height)
            pixels = np.zeros((height, width), np.bool_)
            inwards = np.concatenate([np.ceil(shown.boxes[:, :2]), np.floor(shown.boxes[:, 2:])], 1)
            for left, top, right, bottom in inwards.clip(0).astype(int).tolist():
                pixels[top:bottom, left:right] = True
            for mask in _masks(shown.polygons, width, height, outwards=False):
                left, top, right, bottom = mask.box
                pixels[top:bottom, left:right] |= mask.pixels
            boxes.extend(_around(pixels))
            masks.extend(_holes(pixels))
        return boxes, masks

    def _warn(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < _MOST_BOXES:
            self._warned.add(text)
            notify(self._logger, logging.WARNING, text)


def _fixed(name: str, given: Sequence[Any] | None) -> Regions:
    if given is None:
        return _NO_REGIONS
    try:
        return read_fixed_regions(given)
    except RegionError as error:
        raise SettingsError(
            f"{name}={given!r} cannot be used: {error}. Give boxes (x0, y0, x1, y1) or polygons "
            "[(x, y), ...], in pixels or in shares of the frame."
        ) from error


def _masks(
    polygons: Sequence[NDArray[np.float64]], width: int, height: int, *, outwards: bool = True
) -> list[Mask]:
    found = [polygon_mask(one, width, height, outwards=outwards) for one in polygons]
    return [mask for mask in found if mask is not None]


def _as_mask(boxes: Sequence[Box], width: int, height: int) -> Mask:
    pixels = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = True
    return Mask(0, 0, pixels)


def _bounds(pixels: NDArray[np.bool_]) -> Box | None:
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _around(shown: NDArray[np.bool_]) -> list[Box]:
    """Return boxes of all that lies outside the rectangle around some pixels."""
    height, width = shown.shape
    inner = _bounds(shown)
    spans = visible_spans([] if inner is None else [inner], width, height)
    return [(left, top, right, bottom) for top, bottom, left, right in spans]


def _holes(shown: NDArray[np.bool_]) -> list[Mask]:
    """Return what is not among some pixels, within the rectangle around them."""
    inner = _bounds(shown)
    if inner is None:
        return []
    left, top, right, bottom = inner
    hidden = ~shown[top:bottom, left:right]
    return [Mask(left, top, hidden)] if hidden.any() else []
