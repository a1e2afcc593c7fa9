"""An application may call from as many threads as it likes."""

from __future__ import annotations

import itertools
import random
import threading
import time
from typing import TYPE_CHECKING

from backpack.errors import StateError
from tests.end_to_end.apps import Putter
from tests.end_to_end.test_capture_times import assert_in_order, errors_ns, tell
from tests.numbered import read
from tests.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.spyglass import SpyGlass
    from tests.end_to_end.conftest import Stage

THREADS = 8


def run_all(*calls: Callable[[], object]) -> list[BaseException]:
    """Run calls on threads of their own, and give what they raised."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - told by the caller
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    return failures


def test_eight_threads_put(stage: Stage) -> None:
    """No frame is torn or mixed with another, times only grow, and every put is counted."""
    spyglass = stage.spyglass(fps=240)
    putters = [stage.putter(spyglass, first=1 + 1000 * n) for n in range(THREADS)]
    putters[0].put()
    viewer = stage.viewer(spyglass.urls()[0])
    viewer.wait(1)

    assert run_all(*(lambda one=one: one.run(60, 3) for one in putters)) == []

    everything = Putter(spyglass)
    for putter in putters:
        everything.puts.update(putter.puts)
    time.sleep(0.2)
    frames = list(viewer.frames)
    numbers = [read(one.data) for one in frames]
    assert None not in numbers, "a picture of two frames"
    times = [one.capture_wall_ns for one in frames if one.capture_wall_ns is not None]
    assert all(a < b for a, b in itertools.pairwise(times))
    errors = errors_ns(everything, frames)
    tell("eight threads", errors)
    assert max(errors, default=0) < 50_000_000
    stats = spyglass.stats()
    assert stats.put == len(everything.puts)
    taken = sum(one.taken for one in everything.puts.values())
    assert stats.accepted == taken
    refused = stats.not_wanted + stats.not_due + stats.away + stats.stopped + stats.stale
    assert stats.put == taken + refused


def test_starts_and_stops_race(stage: Stage) -> None:
    """No call fails but a start that was stopped meanwhile, and that says so; all works after."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass, fps=100)
    end = time.monotonic() + 3

    def repeat(call: Callable[[], object], seed: int) -> Callable[[], None]:
        source = random.Random(seed)

        def run() -> None:
            while time.monotonic() < end:
                call()
                time.sleep(source.random() * 0.02)

        return run

    calls = [spyglass.start_streaming, spyglass.stop_streaming, spyglass.stats, spyglass.urls]
    failures = run_all(*(repeat(calls[n % 4], n) for n in range(THREADS)))

    assert [one for one in failures if not isinstance(one, StateError)] == []
    assert putter.failures == []
    assert putter.longest_seconds < 1
    spyglass.start_streaming()
    viewer = stage.viewer(spyglass.urls()[0])
    number = putter.last
    wait_for(lambda: any((read(one.data) or 0) > number for one in list(viewer.frames)))
    assert_in_order(viewer.frames)


def test_many_streams_share_a_streaming_process(stage: Stage) -> None:
    """Four streams are served at once by one process, each with its own frames."""
    streams: list[SpyGlass] = [stage.spyglass() for _ in range(4)]
    putters = [stage.putter(one, fps=10, first=1 + 1000 * n) for n, one in enumerate(streams)]
    viewers = [stage.viewer(one.urls()[0]) for one in streams]

    for n, viewer in enumerate(viewers):
        wait_for(lambda viewer=viewer: any(read(one.data) for one in list(viewer.frames)))
        seen = {number for one in viewer.wait_more(5) if (number := read(one.data))}
        assert {number // 1000 for number in seen} == {n}
    assert len({one.stats().streamer_pid for one in streams}) == 1
    assert all(one.failures == [] for one in putters)
