from __future__ import annotations

import random

import pytest

from backpack._app.frame_gate import FrameGate, Verdict

SECOND = 1_000_000_000
MS = 1_000_000


def passed(
    gate: FrameGate, times_ns: list[int], *, wanted: bool = True, least_ns: int = 0
) -> list[int]:
    """Give the times of the frames that pass."""
    return [
        now_ns
        for now_ns in times_ns
        if gate.decide(now_ns, wanted=wanted, least_interval_ns=least_ns) is Verdict.PASS
    ]


def jittered(fps: float, seconds: float, jitter_ms: float, seed: int) -> list[int]:
    """Give the times of an application whose clock jitters."""
    chance = random.Random(seed)
    times = [
        round(number * SECOND / fps + chance.uniform(-jitter_ms, jitter_ms) * MS) + SECOND
        for number in range(round(fps * seconds))
    ]
    return sorted(times)


@pytest.mark.parametrize("seed", range(20))
def test_a_jittering_application_at_the_allowed_rate_loses_nothing(seed: int) -> None:
    """At least 99 % of the frames of a 30 fps application with ±5 ms of jitter pass."""
    times = jittered(30, 60, 5, seed)

    assert len(passed(FrameGate(30), times)) >= 0.99 * len(times)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [3, 10, 24, 25, 29.97])
def test_a_slower_application_loses_nothing(fps: float, seed: int) -> None:
    """An application that is slower than the allowed rate is not slowed down further."""
    times = jittered(fps, 60, 5, seed)

    assert len(passed(FrameGate(30), times)) >= 0.99 * len(times)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fps", [45, 60, 90, 240])
def test_a_faster_application_is_held_to_the_allowed_rate(fps: float, seed: int) -> None:
    """Of 60 frames a second 30 pass where 30 are allowed, one more or less."""
    times = jittered(fps, 20, 2, seed)

    assert len(passed(FrameGate(30), times)) / 20 == pytest.approx(30, abs=1)


@pytest.mark.parametrize("seed", range(20))
def test_no_rhythm_passes_more_than_is_allowed(seed: int) -> None:
    """Whatever the frames' times, no ten seconds hold more than the allowed number and one."""
    chance = random.Random(seed)
    now_ns, times = 0, []
    while now_ns < 60 * SECOND:
        now_ns += round(chance.choice([1, 5, 20, 33, 40, 70, 900]) * MS * chance.random())
        times.append(now_ns)
    taken = passed(FrameGate(10), times)

    for start_ns in taken:
        inside = [now_ns for now_ns in taken if start_ns <= now_ns < start_ns + 10 * SECOND]
        assert len(inside) <= 101


@pytest.mark.parametrize("late_ms", [0, 5, 10, 14])
@pytest.mark.parametrize("seed", range(5))
def test_a_first_frame_that_came_late_costs_none_of_the_others(seed: int, late_ms: int) -> None:
    """Measured by it all others are early; the schedule gives way once."""
    times = jittered(30, 60, 5, seed)
    times[0] += late_ms * MS

    assert len(passed(FrameGate(30), times)) >= len(times) - 2


def test_a_frame_that_came_late_does_not_cost_the_next_one() -> None:
    """An application that was held up for most of an interval is on time again after that."""
    times = [SECOND + round(number * SECOND / 30) for number in range(300)]
    held_up = [now_ns + (28 * MS if not number % 10 else 0) for number, now_ns in enumerate(times)]

    assert passed(FrameGate(30), held_up[1:]) == held_up[1:]


def test_of_a_burst_one_frame_passes() -> None:
    """Frames that come all at once are one frame."""
    gate = FrameGate(30)
    burst = [SECOND + number for number in range(50)]

    assert len(passed(gate, burst)) == 1


def test_a_late_frame_does_not_let_the_next_ones_come_faster() -> None:
    """After a pause the schedule begins anew; what was missed is not caught up."""
    gate = FrameGate(10)
    passed(gate, [SECOND])
    late = 5 * SECOND

    assert passed(gate, [late, late + 10 * MS, late + 40 * MS]) == [late]
    assert passed(gate, [late + 100 * MS]) == [late + 100 * MS]


def test_one_frame_a_second_passes_while_nobody_watches() -> None:
    """Unwatched, a frame a second is handed over: a new viewer sees it at once."""
    gate = FrameGate(30)
    times = jittered(30, 60, 5, 1)

    assert len(passed(gate, times, wanted=False)) == pytest.approx(60, abs=2)
    assert gate.decide(times[-1] + 1, wanted=False) is Verdict.NOT_WANTED


@pytest.mark.parametrize("after_ms", [1, 30, 66, 500, 940, 960, 975, 999, 1500])
def test_the_first_frame_for_a_new_viewer_passes_at_once(after_ms: int) -> None:
    """Whoever comes does not wait for the idle schedule, wherever it is."""
    gate = FrameGate(30)
    assert passed(gate, [SECOND, SECOND + 33 * MS], wanted=False) == [SECOND]
    come = SECOND + after_ms * MS

    assert passed(gate, [come]) == [come]


def test_a_slow_application_is_not_slowed_by_the_idle_schedule() -> None:
    """An fps below one a second holds while nobody watches, too."""
    times = [SECOND + number * SECOND // 2 for number in range(100)]

    assert len(passed(FrameGate(0.2), times, wanted=False)) == pytest.approx(10, abs=1)


def test_the_reader_may_ask_for_fewer_frames() -> None:
    """What the streaming process asks for holds, and holds no longer than it asks."""
    gate = FrameGate(30)
    times = jittered(30, 10, 5, 3)
    shifted = [now_ns + 10 * SECOND for now_ns in times]

    assert len(passed(gate, times, least_ns=SECOND // 5)) == pytest.approx(50, abs=1)
    assert len(passed(gate, shifted)) >= 0.99 * len(shifted)
    assert gate.decide(shifted[-1] + MS, wanted=True) is Verdict.NOT_DUE


def test_the_reader_cannot_ask_for_more_frames() -> None:
    """The application's own limit holds whatever the streaming process asks for."""
    times = jittered(60, 10, 0, 3)

    assert len(passed(FrameGate(10), times, least_ns=1)) == pytest.approx(100, abs=1)


def test_dear_copies_are_made_less_often_for_nobody() -> None:
    """What nobody sees may cost a four-thousandth of the time; it is five seconds at the most."""
    for copy_ms, seconds in ((0.1, 1), (0.5, 2), (100, 5)):
        gate = FrameGate(30)
        passed = []
        for now_ms in range(0, 60_000, 33):
            verdict = gate.decide(now_ms * 1_000_000, wanted=False)
            if verdict is Verdict.PASS:
                passed.append(now_ms)
                gate.note_copy(round(copy_ms * 1_000_000))
        assert len(passed) == pytest.approx(60 / seconds, abs=2)


def test_a_dear_copy_does_not_keep_a_new_viewer_waiting() -> None:
    """Whoever comes gets the next frame, however long the wait for nobody was to be."""
    gate = FrameGate(30)
    gate.decide(0, wanted=False)
    gate.note_copy(1_000_000_000)

    assert gate.decide(100_000_000, wanted=False) is Verdict.NOT_WANTED
    assert gate.decide(100_000_001, wanted=True) is Verdict.PASS
