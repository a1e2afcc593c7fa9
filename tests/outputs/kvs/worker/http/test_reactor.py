from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.http.reactor import READ, Reactor
from tests.waiting import PATIENCE, stays_true, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


class Sleeper:
    """A thread that waits once."""

    def __init__(self, reactor: Reactor, *, calm: bool) -> None:
        self._reactor = reactor
        self._calm = calm
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_for(lambda: reactor._asleep or not self.thread.is_alive())

    def _run(self) -> None:
        self._reactor.wait(2 * PATIENCE, lambda: False, calm=self._calm)

    def is_up(self) -> bool:
        """Tell whether it has woken up."""
        return not self.thread.is_alive()


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """Make one."""
    made = Reactor()
    yield made
    made.close()


def test_work_wakes_the_thread(reactor: Reactor) -> None:
    """And what is posted is done there."""
    sleeper = Sleeper(reactor, calm=False)
    reactor.wake(urgent=False)
    wait_for(sleeper.is_up)
    done: list[str] = []
    sleeper = Sleeper(reactor, calm=False)
    reactor.post(lambda: done.append(threading.current_thread().name))
    wait_for(sleeper.is_up)

    assert done == [sleeper.thread.name]


def test_a_calm_thread_is_woken_for_what_is_urgent(reactor: Reactor) -> None:
    """Work waits until it looks anyway; what is posted does not."""
    sleeper = Sleeper(reactor, calm=True)
    reactor.wake(urgent=False)
    assert stays_true(lambda: not sleeper.is_up(), 0.2)
    reactor.wake(urgent=True)
    wait_for(sleeper.is_up)
    sleeper = Sleeper(reactor, calm=True)
    reactor.post(lambda: None)
    wait_for(sleeper.is_up)


def test_nobody_falls_asleep_beside_work(reactor: Reactor) -> None:
    """What came while the thread was awake woke nobody, and is seen all the same."""
    reactor.wake(urgent=True)
    reactor.wait(30.0, lambda: True)
    done: list[int] = []
    reactor.post(lambda: done.append(1))
    reactor.wait(30.0, lambda: False)
    reactor.post(lambda: done.append(2))
    reactor.wait(30.0, lambda: False, calm=True)

    assert done == [1, 2]


def test_a_socket_wakes_the_thread_until_it_is_forgotten(reactor: Reactor) -> None:
    """Forgetting twice does no harm."""
    near, far = socket.socketpair()
    heard: list[bytes] = []
    with near, far:
        reactor.watch(near, READ, lambda _events: heard.append(near.recv(9)))
        far.send(b"one")
        reactor.wait(30.0, lambda: False)
        reactor.forget(near)
        reactor.forget(near)
        far.send(b"two")
        reactor.wait(0.0, lambda: False)

    assert heard == [b"one"]


def test_who_comes_late_does_no_harm(reactor: Reactor) -> None:
    """The encoder may push while the output closes."""
    reactor.close()
    reactor._asleep = reactor._on_call = True
    reactor.post(lambda: None)
    reactor.wake(urgent=True)
