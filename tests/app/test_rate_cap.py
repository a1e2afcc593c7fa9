from __future__ import annotations

import pytest

from backpack._app.rate_cap import RateCap


def told(accepted_fps: float, not_due_fps: float, seconds: int = 20) -> list[float]:
    """Return what is told of an application with such rates, once a second."""
    cap = RateCap(30.0)
    found = [
        cap.note(100.0 + second, round(second * accepted_fps), round(second * not_due_fps))
        for second in range(seconds)
    ]
    return [rate for rate in found if rate is not None]


def test_a_faster_application_is_told_once_how_fast_it_is() -> None:
    """Half of its frames are left out by a rate that it has not chosen."""
    assert told(30, 30) == [pytest.approx(60)]


@pytest.mark.parametrize(
    ("accepted_fps", "not_due_fps"),
    [(30, 0), (30, 3), (15, 45), (0, 60), (0, 0)],
    ids=["as fast", "jitter", "slowed down", "unwatched", "silent"],
)
def test_whatever_else_leaves_frames_out_is_not_the_cap(
    accepted_fps: float, not_due_fps: float
) -> None:
    """Jitter, a governor that asks for fewer, and frames that nobody wants."""
    assert told(accepted_fps, not_due_fps) == []


def test_a_moment_is_not_enough() -> None:
    """A burst after a pause is no rate."""
    assert told(30, 60, seconds=3) == []
