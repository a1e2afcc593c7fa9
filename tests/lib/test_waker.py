from __future__ import annotations

import select

from backpack._lib.waker import Waker
from tests.waiting import open_descriptors


def hears(waker: Waker) -> bool:
    """Tell whether a sleeper would wake up."""
    return bool(select.select([waker.fd], [], [], 0)[0])


def test_a_call_is_heard_until_it_is_taken() -> None:
    """However often it was called, even more often than a pipe holds."""
    waker = Waker()
    assert not hears(waker)
    for _ in range(100_000):
        waker.wake()
    assert hears(waker)
    while hears(waker):
        waker.drain()
    waker.drain()
    waker.wake()
    assert hears(waker)
    waker.close()


def test_who_calls_may_outlive_it() -> None:
    """After the end a call does nothing, and no descriptor stays."""
    before = open_descriptors()
    waker = Waker()
    waker.close()
    waker.close()
    waker.wake()
    assert open_descriptors() <= before
