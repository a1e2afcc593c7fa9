from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from backpack._app.redaction.redactor import Redactor
from backpack.errors import SettingsError
from backpack.redaction import Redaction
from tests.app.redaction.redactors import redactor

WHITE = np.full((48, 64, 3), 255, np.uint8)


def shown(one: Redactor, redact: object, now_ns: int = 0, frame: np.ndarray = WHITE) -> np.ndarray:
    """Copy a frame as the writer does, and return the copy."""
    target = np.zeros_like(frame)
    fill = one.look(redact, frame.shape[1], frame.shape[0], now_ns)
    if fill is None:
        target[:] = frame
    else:
        fill(target, frame)
    return target


def hidden_box(copy: np.ndarray) -> tuple[int, int, int, int] | None:
    """Return the rectangle around what is black."""
    rows, columns = np.nonzero(copy[..., 0] == 0)
    if not len(rows):
        return None
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_nothing_costs_nothing() -> None:
    """A plain copy is left to the writer."""
    one = redactor()
    assert one.look(None, 64, 48, 0) is None
    assert one.look([], 64, 48, 0) is None
    assert (one.redacted, one.blanked) == (0, 0)


def test_boxes_polygons_and_masks_are_hidden() -> None:
    """And counted, frame by frame."""
    one = redactor()
    mask = np.zeros((48, 64), np.bool_)
    mask[5:9, 7:11] = True
    assert hidden_box(shown(one, [(3, 4, 10, 20)])) == (3, 4, 10, 20)
    assert hidden_box(shown(one, mask)) == (7, 5, 11, 9)
    assert hidden_box(shown(one, [[(10, 10), (20, 10), (20, 20), (10, 20)]])) == (10, 10, 20, 20)
    assert (one.redacted, one.blanked) == (3, 0)


def test_a_box_has_a_margin() -> None:
    """A share of its own size, on each side."""
    one = redactor(Redaction(margin=0.5, hold_frames=0, hold_seconds=0))
    assert hidden_box(shown(one, [(20, 20, 30, 24)])) == (15, 18, 35, 26)


def test_a_detection_that_fails_once_shows_nothing() -> None:
    """Given or not: what was hidden stays hidden for a while."""
    one = redactor(Redaction(margin=0, hold_frames=2, hold_seconds=0))
    shown(one, [(3, 4, 10, 20)])
    assert hidden_box(shown(one, [])) == (3, 4, 10, 20)
    assert hidden_box(shown(one, None)) == (3, 4, 10, 20)
    assert hidden_box(shown(one, [])) is None


def test_a_polygon_that_vanishes_is_held_as_a_box() -> None:
    """More is hidden then, and not less."""
    one = redactor(Redaction(margin=0, hold_frames=1, hold_seconds=0))
    shown(one, [[(10, 10), (20, 10), (15, 20)]])
    assert hidden_box(shown(one, [])) == (10, 10, 20, 20)


@pytest.mark.parametrize("size", [(64, 48), (32, 24)])
def test_a_privacy_mask_is_hidden_in_every_frame(size: tuple[int, int]) -> None:
    """In shares of a frame of any size, whatever is put with it."""
    width, height = size
    one = redactor(privacy_mask=[(0.0, 0.0, 0.5, 0.25)])
    frame = np.full((height, width, 3), 255, np.uint8)
    for redact in (None, []):
        assert hidden_box(shown(one, redact, frame=frame)) == (0, 0, width // 2, height // 4)


def test_a_privacy_mask_follows_the_size_of_the_frames() -> None:
    """It is made anew for another one."""
    one = redactor(privacy_mask=[(0.0, 0.0, 0.5, 0.5)])
    for width, height in ((64, 48), (32, 24), (64, 48)):
        frame = np.full((height, width, 3), 255, np.uint8)
        assert hidden_box(shown(one, None, frame=frame)) == (0, 0, width // 2, height // 2)


@pytest.mark.parametrize(
    "given",
    [[(10.2, 8.0, 30.0, 20.9)], [[(10.2, 8), (30, 8), (30, 20.9), (10.2, 20.9)]]],
    ids=["box", "polygon"],
)
def test_all_but_what_may_be_shown_is_hidden(given: list[Any]) -> None:
    """A pixel that is only touched is hidden."""
    copy = shown(redactor(show_only=given), None)
    rows, columns = np.nonzero(copy[..., 0])
    assert 11 <= columns.min() <= 12
    assert 28 <= columns.max() <= 29
    assert 8 <= rows.min() <= 9
    assert 18 <= rows.max() <= 19


def test_nothing_may_be_shown() -> None:
    """An empty list of what may be shown is not the same as none."""
    assert not shown(redactor(show_only=[]), None).any()
    assert not shown(redactor(show_only=[(1000, 1000, 2000, 2000)]), []).any()


def test_many_boxes_are_hidden_as_well() -> None:
    """A thousand, in every style."""
    chance = np.random.default_rng(3)
    starts = chance.uniform(-5, 60, (1000, 2))
    boxes = np.concatenate([starts, starts + chance.uniform(0, 2, (1000, 2))], 1)
    inside = np.zeros((48, 64), np.bool_)
    for x0, y0, x1, y1 in np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], 1).clip(
        0
    ):
        inside[int(y0) : int(y1), int(x0) : int(x1)] = True
    stripes = (np.arange(48 * 64).reshape(48, 64) % 2 * 255).astype(np.uint8)
    frame = np.repeat(np.where(inside, stripes, 9)[..., None], 3, 2).astype(np.uint8)
    for style in ("fill", "pixelate", "blur"):
        copy = shown(redactor(Redaction(style, (0, 0, 0), 0, 0, 0)), boxes, frame=frame)
        assert (copy[~inside] == 9).all()
        assert copy[inside].max() < 255


@pytest.mark.parametrize(
    "redact", [[(0, 0, float("nan"), 1)], [(9, 0, 1, 1)], "x", np.zeros((1, 1), np.bool_)], ids=repr
)
def test_what_cannot_be_read_hides_the_whole_frame(
    redact: object, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, and logged once."""
    one = redactor()
    for _ in range(3):
        copy = shown(one, redact)
        assert copy.max() == 0
    assert (one.redacted, one.blanked) == (0, 3)
    assert caplog.text.count("hidden as a whole") == 1


def test_a_frame_without_word_is_blanked_where_that_is_required(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An empty list says that there is nothing to hide."""
    one = redactor(required=True)
    assert shown(one, None).max() == 0
    assert shown(one, None).max() == 0
    assert shown(one, []).min() == 255
    assert one.blanked == 2
    assert caplog.text.count("without redact=") == 1


def test_viewers_of_a_blanked_frame_read_why() -> None:
    """Where the frame is large enough."""
    frame = np.full((720, 1280, 3), 128, np.uint8)
    copies = [
        shown(one, redact, frame=frame)
        for one, redact in ((redactor(required=True), None), (redactor(), "x"))
    ]
    assert all(set(np.unique(copy)) == {0, 255} for copy in copies)
    assert (copies[0] != copies[1]).any()


def test_a_fault_of_ours_hides_the_whole_frame(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever goes wrong while it is copied, also half way."""

    def fail(target: np.ndarray, frame: np.ndarray, *_: object) -> None:
        target[:] = frame
        raise MemoryError

    monkeypatch.setattr("backpack._app.redaction.redactor.copy_hiding", fail)
    one = redactor()
    assert not shown(one, [(1, 1, 2, 2)]).any()
    assert (one.redacted, one.blanked) == (0, 1)
    assert "redaction failed: MemoryError()" in caplog.text


@pytest.mark.parametrize("name", ["privacy_mask", "show_only"])
@pytest.mark.parametrize(
    "given", [[(0, 0, 1)], [(1, 0, 0, 1)], "x", [np.ones((2, 2), np.bool_)], 7]
)
def test_regions_that_cannot_be_are_said_at_once(name: str, given: object) -> None:
    """The message names the argument, and what it takes."""
    with pytest.raises(SettingsError, match=f"(?s){name}=.*Give boxes"):
        Redactor(
            Redaction(),
            **{"privacy_mask": None, "show_only": None, name: given},
            required=False,
            logger=logging.getLogger("backpack"),
        )
