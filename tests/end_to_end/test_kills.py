"""Whatever is killed, the other side goes on or ends, and nothing is left behind."""

from __future__ import annotations

import os
import signal
import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.clients import RtspClient
from tests.end_to_end.viewers import Ffmpeg
from tests.numbered import read
from tests.waiting import children, is_running, wait_for

if TYPE_CHECKING:
    from tests.end_to_end.apps import App
    from tests.end_to_end.conftest import Stage

PATIENCE = 30
KILLS = 20
HANGS_SECONDS = 1.0
FLUSH_SECONDS = 5.0


def come_back(stage: Stage, url: str, newer_than: int) -> RtspClient:
    """Connect again and again, as players do, until a new picture is seen."""
    deadline = time.monotonic() + PATIENCE
    while True:
        viewer = RtspClient(url, decode=True)
        try:
            for _ in range(200):
                number = read(viewer.wait_more(1, 5)[0].data)
                if number is not None and number > newer_than:
                    stage.finally_do(viewer.close)
                    return viewer
        except AssertionError:
            assert time.monotonic() < deadline
        viewer.close()
        time.sleep(0.05)


def kill(app: App) -> float:
    """Kill the streaming process of an application; say when."""
    pid = app.wait_for_numbers(lambda numbers: numbers["streamer_pid"])["streamer_pid"]
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return at


def test_the_application_does_not_notice_20_kills(stage: Stage) -> None:
    """No put() waits, viewers who reconnect see pictures soon, at the same port; nothing stays."""
    app = stage.app(fps=30)
    port = urlsplit(app.url).port
    viewer = come_back(stage, app.url, 0)
    waits, numbers = [], []

    for _ in range(KILLS):
        # A streaming process that ran for a second was no failed start.
        time.sleep(1.0)
        shown = app.numbers()["last"]
        at = kill(app)
        assert viewer.wait_end()
        viewer = come_back(stage, app.url, shown)
        waits.append(time.monotonic() - at)
        numbers.append(app.numbers())

    print(  # noqa: T201
        f"back after {statistics.median(waits):.2f} s, at most {max(waits):.2f} s; "
        f"longest put() {numbers[-1]['longest'] * 1000:.1f} ms"
    )
    assert max(waits) < PATIENCE
    assert urlsplit(app.url).port == port
    # A put that is under way is in one of these numbers, and not yet in the other.
    last = app.wait_for_numbers(lambda told: told["put"] == told["last"])
    assert last["failures"] == []
    assert last["longest"] < HANGS_SECONDS
    assert last["starts"] == KILLS + 1
    assert last["modules"] == [], "the application's process has numpy and nothing else"
    # The fifth is the first after whatever is made once.
    assert last["descriptors"] <= numbers[4]["descriptors"]
    assert last["threads"] <= numbers[4]["threads"]
    assert last["resident_kb"] - numbers[4]["resident_kb"] < 4096
    # No zombies either: they count as children.
    assert children(app.pid) == {last["streamer_pid"]}


def test_viewers_that_do_not_reconnect_hear_of_the_end(stage: Stage) -> None:
    """An ffmpeg that watches is not left hanging when the streaming process is killed."""
    app = stage.app(fps=30)
    with Ffmpeg(app.url) as viewer:
        viewer.wait(3)
        kill(app)

        viewer.wait_end()


def test_a_killed_application_takes_the_streaming_process_along(stage: Stage) -> None:
    """After SIGKILL of the application the streaming process is gone within 5 s."""
    app = stage.app(fps=30)
    viewer = come_back(stage, app.url, 0)
    pid = app.numbers()["streamer_pid"]

    app.signal(signal.SIGKILL)
    at = time.monotonic()
    app.wait()
    wait_for(lambda: not is_running(pid), FLUSH_SECONDS + 1, what="its end")

    print(f"gone {time.monotonic() - at:.2f} s after the application")  # noqa: T201
    assert viewer.wait_end()


def test_a_stopped_application_is_taken_for_a_silent_one(stage: Stage) -> None:
    """SIGSTOP leaves viewers a picture once a second, and SIGCONT brings the frames back."""
    app = stage.app(fps=10)
    viewer = come_back(stage, app.url, 0)

    app.signal(signal.SIGSTOP)
    # What was on its way has come once six pictures show the same number: as a
    # newcomer is greeted, a few may do so between two frames.
    viewer.wait(6)
    wait_for(lambda: len({read(one.data) for one in viewer.frames[-6:]}) == 1)
    shown = read(viewer.frames[-1].data) or 0
    repeats = viewer.wait_more(3)
    app.signal(signal.SIGCONT)

    assert {read(one.data) for one in repeats} == {shown}
    wait_for(lambda: (read(viewer.frames[-1].data) or 0) > shown + 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("orderly", [True, False])
@pytest.mark.parametrize("group", [True, False], ids=["group", "alone"])
def test_signals_end_everything(
    stage: Stage, number: signal.Signals, *, orderly: bool, group: bool
) -> None:
    """Ctrl-C and SIGTERM, handled or not, to the application alone or all of its group, end all."""
    app = stage.app(30, *(["--orderly"] if orderly else []))
    viewer = come_back(stage, app.url, 0)
    pid = app.numbers()["streamer_pid"]

    app.signal(number, group=group)
    status = app.wait()

    assert viewer.wait_end()
    wait_for(lambda: not is_running(pid), FLUSH_SECONDS + 1)
    if number is signal.SIGTERM:
        assert status == (0 if orderly else -signal.SIGTERM)
    else:
        # Python's own end of an interrupted program.
        assert status in (1, -signal.SIGINT)
