from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from backpack._cli.cost import Bill, _streamer_cpu, line_of
from backpack.spyglass import SpyGlass
from backpack.stats import Stats

if TYPE_CHECKING:
    from collections.abc import Callable


def _steps(*values: float) -> Callable[[], float]:
    return iter(values).__next__


def test_rates_are_those_since_the_last_call() -> None:
    """Frames and CPU time are told for the time that has passed, not since the start."""
    spy = SpyGlass()
    frame = np.zeros((32, 32, 3), np.uint8)
    bill = Bill(spy, clock=_steps(100.0, 102.0, 103.0), cpu=_steps(5.0, 5.5, 5.5))
    for _ in range(20):
        spy.put(frame)

    first, second = bill.numbers(), bill.numbers()

    assert (first["fps_in"], first["cpu_percent"], first["seconds"]) == (10.0, 25.0, 2.0)
    assert (second["fps_in"], second["cpu_percent"], second["seconds"]) == (0.0, 0.0, 3.0)
    assert second["frames"] == 20


def test_a_new_streaming_process_begins_at_zero() -> None:
    """When the streaming process was started anew, its CPU time is no step back."""
    before = Stats(streamer_pid=1, streamer_cpu_seconds=10.0)

    assert _streamer_cpu(Stats(streamer_pid=1, streamer_cpu_seconds=10.5), before) == 0.5
    assert _streamer_cpu(Stats(streamer_pid=2, streamer_cpu_seconds=0.25), before) == 0.25


NUMBERS = {
    "viewers": 0,
    "fps": 0.0,
    "bitrate_kbps": 0,
    "fps_in": 24.9,
    "dropped": 3,
    "put_ms_p50": 0.354,
    "cpu_percent": 12.4,
    "streamer_cpu_percent": 30.6,
    "error": None,
}


@pytest.mark.parametrize(
    ("change", "watching"),
    [
        (
            {},
            "nobody watches",
        ),
        (
            {"viewers": 2, "fps": 24.6, "bitrate_kbps": 1234},
            "2 watching, 25 fps, 1,234 kbit/s",
        ),
    ],
)
def test_the_line_says_what_it_costs(change: dict[str, object], watching: str) -> None:
    """Viewers, rates, losses, put time and CPU of both processes stand in one line."""
    rest = "25 fps read | 3 dropped | put() 0.35 ms | CPU 12 % here | 31 % streaming"
    assert line_of(NUMBERS | change) == f"{watching} | {rest}"


def test_the_line_begins_with_what_went_wrong() -> None:
    """An error comes first, where a narrow terminal does not cut it off."""
    assert line_of(NUMBERS | {"error": "No encoder."}).startswith("No encoder. | ")
