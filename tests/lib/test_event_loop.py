from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING

import pytest

from backpack._lib.event_loop import Loop
from tests.waiting import open_descriptors, stays_true, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "spyglass-test-loop"


class Rig:
    """A loop that runs until it is told to end."""

    def __init__(self) -> None:
        self.may_end = False
        self.seconds: float | None = None
        self.turns = 0
        self.loop = Loop(NAME, self._turn)

    def _turn(self) -> float | None:
        self.turns += 1
        return Loop.DONE if self.may_end else self.seconds

    def end(self) -> None:
        """Let the thread end."""
        self.may_end = True


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a loop, and see that nothing of it stays."""
    descriptors = open_descriptors()
    made = Rig()
    yield made
    made.loop.finish(made.end, 10)
    wait_for(lambda: not made.loop.is_running)
    made.loop.abandon()
    wait_for(lambda: not threads_named(NAME))
    assert open_descriptors() <= descriptors


def test_commands_run_in_their_order_on_the_loops_thread(rig: Rig) -> None:
    """The thread starts with the first one."""
    assert not rig.loop.is_running
    ran: list[tuple[int, str]] = []
    for number in range(100):
        rig.loop.post(lambda n=number: ran.append((n, threading.current_thread().name)))
    wait_for(lambda: len(ran) == 100)
    assert ran == [(number, NAME) for number in range(100)]


def test_a_command_that_fails_is_logged_and_the_next_one_runs(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """One tenant's fault does not take the streams of the others."""
    caplog.set_level(logging.ERROR)
    ran = threading.Event()
    rig.loop.post(lambda: 1 // 0)
    rig.loop.post(ran.set)
    assert ran.wait(10)
    assert "ZeroDivisionError" in caplog.text


def test_a_turn_that_fails_is_logged_and_another_one_follows(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread is all that keeps the streams of the process: no fault may end it."""
    caplog.set_level(logging.ERROR)
    monkeypatch.setattr("backpack._lib.event_loop._FAULT_SECONDS", 0.01)
    monkeypatch.setattr(rig.loop, "_turn", lambda: 1 // 0)
    rig.loop.post(lambda: None)
    wait_for(lambda: caplog.text.count("ZeroDivisionError") > 2)
    monkeypatch.setattr(rig.loop, "_turn", rig._turn)
    ran = threading.Event()
    rig.loop.post(ran.set)
    assert ran.wait(10)


def test_a_descriptor_that_can_be_read_is_told(rig: Rig) -> None:
    """Until it is watched no longer, which may be said twice."""
    read_fd, write_fd = os.pipe()
    got: list[bytes] = []
    rig.loop.post(lambda: rig.loop.watch(read_fd, lambda: got.append(os.read(read_fd, 10))))
    os.write(write_fd, b"x")
    wait_for(lambda: got == [b"x"])
    done = threading.Event()
    for _ in range(2):
        rig.loop.post(lambda: rig.loop.unwatch(read_fd))
    rig.loop.post(done.set)
    assert done.wait(10)
    os.write(write_fd, b"y")
    assert os.read(read_fd, 10) == b"y"
    os.close(read_fd)
    os.close(write_fd)


def test_it_sleeps_as_long_as_the_turn_says(rig: Rig) -> None:
    """A time brings the next turn; without one nothing but a command does."""
    rig.seconds = 0.01
    rig.loop.post(lambda: None)
    wait_for(lambda: rig.turns > 5)
    rig.seconds = None
    settled = threading.Event()
    rig.loop.post(settled.set)
    assert settled.wait(10)
    # What woke it up for that may bring one turn more, as late as the machine is busy.
    wait_for(lambda: stays_true(lambda turns=rig.turns: rig.turns == turns, 0.2))


def test_after_its_end_a_command_starts_it_again(rig: Rig) -> None:
    """Whoever posts never has to ask whether there is a thread."""
    rig.loop.finish(rig.end, 10)
    rig.loop.post(rig.end)
    wait_for(lambda: not rig.loop.is_running)
    rig.may_end = False
    ran = threading.Event()
    rig.loop.post(ran.set)
    assert ran.wait(10)


def test_finishing_one_that_does_not_run_starts_nothing(rig: Rig) -> None:
    """At exit no thread can be started any more."""
    ran: list[int] = []
    rig.loop.finish(lambda: ran.append(1), 10)
    assert not rig.loop.is_running
    assert ran == []


def test_a_descriptor_is_watched_until_its_call_gives_false(rig: Rig) -> None:
    """One that has ended can be read for ever, and would keep the loop turning."""
    read, write = os.pipe()
    calls: list[bool] = []

    def call() -> bool:
        calls.append(len(calls) < 3)
        return calls[-1]

    rig.loop.post(lambda: rig.loop.watch(read, call))
    os.close(write)
    wait_for(lambda: False in calls)
    assert stays_true(lambda: len(calls) == 4, 0.2)
    turns = rig.turns
    assert stays_true(lambda: rig.turns <= turns + 1, 0.2)
    os.close(read)
