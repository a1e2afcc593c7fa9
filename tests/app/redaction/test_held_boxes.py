from __future__ import annotations

import numpy as np

from backpack._app.redaction.held_boxes import HeldBoxes

MS = 1_000_000
NONE = np.zeros((0, 4))


def box(x: float, y: float = 0, size: float = 10) -> np.ndarray:
    """Make the one box of a frame."""
    return np.array([[x, y, x + size, y + size]])


def test_a_box_that_is_no_longer_given_stays_for_so_many_frames() -> None:
    """However long these take."""
    held = HeldBoxes(2, 0)
    assert not len(held.note(box(5), 0))
    assert held.note(NONE, 10_000 * MS).tolist() == box(5).tolist()
    assert held.note(NONE, 20_000 * MS).tolist() == box(5).tolist()
    assert not len(held.note(NONE, 30_000 * MS))
    assert not held.holds


def test_or_for_so_long() -> None:
    """However many frames these are."""
    held = HeldBoxes(0, 100 * MS)
    held.note(box(5), 0)
    for number in range(1, 10):
        assert len(held.note(NONE, number * 10 * MS)) == 1
    assert not len(held.note(NONE, 100 * MS))


def test_one_that_goes_on_is_not_held() -> None:
    """Of a box that moves only the newest place is hidden."""
    held = HeldBoxes(5, 0)
    held.note(box(0), 0)
    for number in range(1, 20):
        assert not len(held.note(box(3.0 * number), number * MS))


def test_one_that_has_moved_grows_by_its_speed_to_all_sides() -> None:
    """Nobody knows where it went."""
    held = HeldBoxes(5, 0)
    held.note(box(0, 0), 0)
    held.note(box(4, 2), 100 * MS)
    assert held.note(NONE, 200 * MS).tolist() == [[0, 0, 18, 14]]
    assert held.note(NONE, 300 * MS).tolist() == [[-4, -2, 22, 16]]


def test_two_that_overlap_are_followed_one_by_one() -> None:
    """The one that vanishes is held, though another one is still near."""
    held = HeldBoxes(5, 0)
    held.note(np.concatenate([box(0), box(5)]), 0)
    assert held.note(box(0.5), MS).tolist() == box(5).tolist()


def test_one_elsewhere_does_not_go_on_with_it() -> None:
    """It is another one; the first is held."""
    held = HeldBoxes(5, 0)
    held.note(box(0), 0)
    assert held.note(box(50), MS).tolist() == box(0).tolist()


def test_without_a_time_nothing_is_remembered() -> None:
    """Nor is anything looked for."""
    held = HeldBoxes(0, 0)
    held.note(box(0), 0)
    assert not held.holds
    assert not len(held.note(NONE, 1))


def test_thousands_are_held_without_being_compared() -> None:
    """More is hidden then, and not less."""
    held = HeldBoxes(1, 0)
    many = np.repeat(box(0), 2000, 0)
    held.note(many, 0)
    assert len(held.note(many, 1)) == 2000
