from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

import pytest

from backpack._gst.main_loop import (
    Timer,
    call_soon,
    done,
    in_background,
    watch,
    when_all_done,
)
from tests.streams import main_loop
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.streams import MainLoop


@pytest.fixture(scope="module")
def loop() -> Iterator[MainLoop]:
    """Run GLib's main loop."""
    with main_loop() as running:
        yield running


def test_calls_are_made_on_the_main_thread_in_order(loop: MainLoop) -> None:
    """Whichever thread asks for them."""
    main = loop.call(threading.get_ident)
    seen: list[tuple[int, int]] = []
    for number in range(3):
        call_soon(lambda number=number: seen.append((number, threading.get_ident())))
    wait_for(lambda: len(seen) == 3)
    assert seen == [(number, main) for number in range(3)]


def test_a_timer_calls_once_unless_it_is_cancelled(loop: MainLoop) -> None:
    """Cancelling one that has called, or twice, does nothing."""
    calls: list[str] = []
    first = loop.call(Timer, 0.0, calls.append, "first")
    second = loop.call(Timer, 0.0, calls.append, "second")
    loop.call(Timer, 3600.0, calls.append, "never").cancel()
    wait_for(lambda: calls == ["first", "second"])
    loop.call(first.cancel)
    loop.call(second.cancel)
    assert calls == ["first", "second"]


def test_what_waits_does_not_hold_up_the_main_thread(loop: MainLoop) -> None:
    """And is done there."""
    main = loop.call(threading.get_ident)
    wait, where = threading.Event(), []
    future = loop.call(in_background, wait.wait, "waits")
    future.add_done_callback(lambda _: where.append(threading.get_ident()))
    assert loop.call(lambda: 5) == 5
    assert not future.done()
    wait.set()
    future.result(30)
    assert where == [main]


def test_an_error_in_the_background_is_logged_and_ends_the_waiting(
    loop: MainLoop, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits goes on."""
    loop.call(in_background, lambda: 1 / 0, "divides").result(30)
    assert "divides has failed" in caplog.text


def test_where_no_thread_is_left_the_work_is_done_all_the_same(
    loop: MainLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be closed is closed."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    calls: list[int] = []
    with monkeypatch.context() as changed:
        changed.setattr(threading.Thread, "start", refuse)
        future = loop.call(in_background, lambda: calls.append(1), "counts")
    future.result(30)
    assert calls == [1]


def test_waiting_for_several_ends_with_the_last_of_them() -> None:
    """At once where all are done, or there is none."""
    calls: list[str] = []
    when_all_done([], lambda: calls.append("none"))
    when_all_done([done(), done()], lambda: calls.append("done"))
    assert calls == ["none", "done"]
    first, second = Future[None](), Future[None]()
    when_all_done([first, done(), second], lambda: calls.append("last"))
    second.set_result(None)
    assert calls == ["none", "done"]
    first.set_result(None)
    assert calls == ["none", "done", "last"]


def test_a_descriptor_is_watched_until_the_call_says_no(loop: MainLoop) -> None:
    """Each time that it is readable."""
    reading, writing = os.pipe()
    seen: list[bytes] = []

    def read(fd: int, _condition: object) -> bool:
        seen.append(os.read(fd, 1))
        return len(seen) < 2

    loop.call(watch, reading, read)
    os.write(writing, b"abc")
    wait_for(lambda: len(seen) == 2)
    assert loop.call(lambda: seen) == [b"a", b"b"]
    os.close(reading)
    os.close(writing)
