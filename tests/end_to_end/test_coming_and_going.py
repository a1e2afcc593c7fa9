"""Starts, stops and viewers by the hundred leave descriptors, threads and memory as they were."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from backpack._ipc.child import memory_bytes
from tests.clients import RawClient
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Stage

ROUNDS = 200
WARM_UP = 40
"""Allocators and GLib's caches and pools have grown to their size by then."""

MOST_GROWTH_BYTES = 6_000_000
"""60 kB a round: a leaked pipeline, media or encoder takes more."""


def threads_of(pid: int) -> int:
    """Count the threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


class Held:
    """What a process holds now."""

    def __init__(self, pid: int) -> None:
        self.descriptors = open_descriptors(pid)
        self.threads = threads_of(pid)
        self.memory = memory_bytes(pid) or 0

    def __repr__(self) -> str:
        return f"{self.descriptors} descriptors, {self.threads} threads, {self.memory / 1e6:.1f} MB"


def has_ring(pid: int) -> bool:
    """Tell whether a process has a ring open."""
    with contextlib.suppress(OSError):
        return any(
            "spyglass-ring" in str(fd.readlink()) for fd in Path(f"/proc/{pid}/fd").iterdir()
        )
    return False


def settled(pid: int, like: Held | None = None) -> Held:
    """Look at a process once threads and descriptors that are on their way out have gone."""
    if like is not None:
        with contextlib.suppress(AssertionError):
            wait_for(
                lambda: (
                    open_descriptors(pid) <= like.descriptors and threads_of(pid) <= like.threads
                ),
                20,
                every=0.1,
            )
    return Held(pid)


def assert_flat(before: Held, after: Held) -> None:
    """Compare what is held."""
    print(f"{before} -> {after}")  # noqa: T201
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.memory - before.memory < MOST_GROWTH_BYTES


def test_200_starts_and_stops_leave_nothing(stage: Stage) -> None:
    """Neither the application nor its streaming process grows with starts and stops."""
    app = stage.app(0)
    app.ask("cycle 100")
    pid = app.numbers()["streamer_pid"]
    # The last frame that was put has a ring, which is on its way still.
    wait_for(lambda: has_ring(pid))
    before = settled(pid), settled(app.pid)

    numbers = app.ask(f"cycle {ROUNDS}")

    assert numbers["streamer_pid"] == pid, "one streaming process for all"
    assert numbers["starts"] == 1
    assert_flat(before[0], settled(pid, before[0]))
    assert_flat(before[1], settled(app.pid, before[1]))


def test_starts_and_stops_while_watched_leave_nothing(stage: Stage) -> None:
    """The same holds where each start makes an encoder, a media and a viewer's session."""
    app = stage.app(0, "--own-server")

    def rounds(count: int) -> None:
        for _ in range(count):
            app.ask("cycle 1")
            with RawClient(app.url) as client:
                assert client.play().status == 200
                client.packet()

    rounds(25)
    pid = app.numbers()["streamer_pid"]
    app.ask("cycle 1")
    wait_for(lambda: has_ring(pid))
    before = settled(pid), settled(app.pid)

    rounds(25)

    app.ask("cycle 1")
    assert_flat(before[0], settled(pid, before[0]))
    assert_flat(before[1], settled(app.pid, before[1]))


def visit(url: str, manner: int) -> None:
    """Come, see a packet, and go in one of three ways."""
    with RawClient(url) as client:
        assert client.play().status == 200
        channel, _ = client.packet()
        assert channel in (0, 1)
        if manner == 0:
            assert client.ask("TEARDOWN").status == 200
        elif manner == 1:
            client.ask("PAUSE")


def test_200_viewers_come_and_go(stage: Stage) -> None:
    """Viewers who leave in any manner, alone or while others watch, leave nothing."""
    app = stage.app(30)
    pid = app.numbers()["streamer_pid"]

    def visits(count: int) -> None:
        for number in range(count // 4):
            visit(app.url, number % 3)
        # Now with somebody who stays, so that the media lives on.
        with RawClient(app.url) as stays:
            stays.play()
            reader = threading.Thread(target=drain, args=(stays,))
            reader.start()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(visit, [app.url] * count, [n % 3 for n in range(count * 3 // 4)]))
            stays.socket.shutdown(2)
            reader.join()
        app.wait_for_numbers(lambda numbers: numbers["viewers"] == 0)

    visits(WARM_UP)
    before = settled(pid), settled(app.pid)

    visits(ROUNDS)

    assert_flat(before[0], settled(pid, before[0]))
    assert_flat(before[1], settled(app.pid, before[1]))
    assert app.numbers()["failures"] == []


def drain(client: RawClient) -> None:
    """Read until the connection ends, in whatever way."""
    with contextlib.suppress(ConnectionResetError):
        while client.socket.recv(1 << 16):
            pass
