from __future__ import annotations

from backpack._worker.governor import LEAST_FPS, Governor, time_on_cpu
from tests.waiting import wait_for

SECOND = 1_000_000_000


class Machine:
    """Samples of a process, one a second."""

    def __init__(self) -> None:
        self.governor = Governor()
        self.now_ns = self.ran_ns = self.waited_ns = 0
        self.second(ran=0, waited=0)

    def second(self, *, ran: float, waited: float) -> int:
        """Let a second pass, and give the interval that is asked for."""
        self.now_ns += SECOND
        self.ran_ns += round(ran * SECOND)
        self.waited_ns += round(waited * SECOND)
        return self.governor.sample(self.now_ns, self.ran_ns, self.waited_ns)


def test_with_room_nothing_is_asked() -> None:
    """A process that gets a core when it wants one takes frames as they come."""
    machine = Machine()

    assert [machine.second(ran=0.35, waited=0.05) for _ in range(5)] == [0] * 5


def test_a_crowded_machine_gets_fewer_frames() -> None:
    """Waiting longer than running, and long, asks for 8 frames a second at once."""
    machine = Machine()

    assert machine.second(ran=0.1, waited=0.6) == SECOND // LEAST_FPS


def test_small_waits_are_no_crowd() -> None:
    """A light stream waits for more than it runs, but not for long: that is no crowd."""
    machine = Machine()

    assert machine.second(ran=0.05, waited=0.15) == 0


def test_it_comes_back_step_by_step() -> None:
    """Three roomy seconds double the rate, until no limit is needed."""
    machine = Machine()
    machine.second(ran=0.1, waited=0.6)
    asked = [machine.second(ran=0.1, waited=0.01) for _ in range(12)]

    assert asked[:2] == [SECOND // 8] * 2
    assert asked[2] == SECOND // 16
    assert asked[5] == SECOND // 32
    assert asked[-1] == 0


def test_one_roomy_second_is_not_enough() -> None:
    """A gap in the crowd changes nothing."""
    machine = Machine()
    machine.second(ran=0.1, waited=0.6)
    for _ in range(4):
        machine.second(ran=0.1, waited=0.01)
        machine.second(ran=0.1, waited=0.5)

    assert machine.governor.interval_ns == SECOND // LEAST_FPS


def test_an_idle_second_says_nothing() -> None:
    """Next to no time run or waited decides nothing."""
    machine = Machine()
    machine.second(ran=0.1, waited=0.6)

    assert machine.second(ran=0.001, waited=0.002) == SECOND // LEAST_FPS


def test_forgetting_asks_for_nothing() -> None:
    """When nobody watches any more, the next viewer starts without a limit."""
    machine = Machine()
    machine.second(ran=0.1, waited=0.6)
    machine.governor.forget()

    assert machine.governor.interval_ns == 0


def test_threads_that_end_do_not_turn_time_back() -> None:
    """Sums that shrink, since a thread has ended, count as nothing."""
    machine = Machine()
    machine.second(ran=0.5, waited=0.1)

    assert machine.second(ran=-0.4, waited=-0.1) == 0


def test_the_kernel_tells_how_long_threads_ran() -> None:
    """The time on a core grows with work."""
    before = time_on_cpu()
    assert before is not None

    def has_grown() -> bool:
        sum(range(100_000))
        now = time_on_cpu()
        return now is not None and now[0] > before[0]

    wait_for(has_grown)
