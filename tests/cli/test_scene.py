from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from backpack._app.font import GLYPH_HEIGHT, text_mask
from backpack._cli.run import EndOfSource
from backpack._cli.scene import Scene, SceneSource, bounce
from backpack._cli.stop import StopRequest


def test_things_bounce_between_the_edges() -> None:
    """What moves goes to and fro between 0 and 1, without a jump."""
    places = [bounce(0.5, 0.25, step / 10) for step in range(100)]

    assert (bounce(0.5, 0.25, 2), bounce(0.5, 0.25, 4), bounce(0.5, 0.25, 6)) == (1.0, 0.5, 0.0)
    assert max(abs(one - two) for one, two in itertools.pairwise(places)) < 0.026


def test_the_scene_moves_and_shows_the_time() -> None:
    """Boxes move with the seconds, the clock changes with its text, and nothing else does."""
    scene = Scene(320, 180)
    first = scene.draw(1.0, "12:00:00.00").copy()

    assert first.shape == (180, 320, 3)
    assert np.array_equal(scene.draw(1.0, "12:00:00.00"), first)
    assert not np.array_equal(scene.draw(1.2, "12:00:00.00"), first)
    changed = np.argwhere((scene.draw(1.0, "12:00:01.00") != first).any(axis=2))
    assert len(changed) > 0
    assert changed[:, 0].max() < 30


@pytest.mark.parametrize("size", [(16, 16), (17, 4000), (4000, 17), (1920, 1080)])
def test_the_scene_can_have_any_size(size: tuple[int, int]) -> None:
    """What does not fit is cut off, at every moment."""
    scene = Scene(*size)

    for second in range(0, 20, 3):
        assert scene.draw(second, "00:00:00.00").shape == (size[1], size[0], 3)


def test_texts_are_drawn_with_square_dots() -> None:
    """A letter is five dots wide and seven high, times the scale."""
    assert text_mask("1", 3).shape == (GLYPH_HEIGHT * 3, 6 * 3)
    assert text_mask("I", 1).sum() == 11
    assert not text_mask("?", 1).any()


def test_frames_come_at_the_rate_that_was_asked_for() -> None:
    """The source waits until a frame is due, and no longer than it may."""
    frames: list[Any] = []
    with StopRequest(None) as ending:
        source = SceneSource(64, 48, 1000.0, ending)
        while len(frames) < 20:
            source.read(lambda frame: frames.append(frame.copy()), 0.1)
        slow = SceneSource(64, 48, 0.001, ending)
        slow.read(frames.append, 0.01)
        before = len(frames)
        slow.read(frames.append, 0.01)

    assert len(frames) == before


def test_the_source_ends_when_the_command_is_to() -> None:
    """A wait for the next frame is cut short by the end."""
    with StopRequest(0.05) as ending:
        source = SceneSource(64, 48, 0.001, ending)
        source.read(lambda _: None, 30)
        with pytest.raises(EndOfSource):
            source.read(lambda _: None, 30)
