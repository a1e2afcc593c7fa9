from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from backpack._ipc.messages import OpenServer
from backpack._media.hub import Hub
from backpack._outputs.rtsp.worker.mount import Mount
from backpack._worker.servers import WorkerServers
from tests.clients import RawClient
from tests.streams import main_loop, source_of
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backpack.errors import BackpackError
    from tests.streams import MainLoop


class Board:
    """The servers of a streaming process, driven from another thread."""

    def __init__(self, loop: MainLoop) -> None:
        self.loop = loop
        self.board = loop.call(WorkerServers, lambda: None)
        self.ports: dict[int, int] = {}
        self.failures: dict[int, str] = {}

    def open(self, number: int, kind: str = "rtsp", **settings: Any) -> None:
        """Order a server."""
        defaults = {"address": "127.0.0.1", "port": 0, "allow_anonymous": True}
        order = OpenServer(number, kind, {**defaults, **settings})
        self.loop.call(self.board.open, order, self.ports.__setitem__, self._on_failed)

    def _on_failed(self, number: int, error: BackpackError) -> None:
        self.failures[number] = str(error)

    def answers(self, number: int) -> bool:
        """Ask an RTSP server for its methods."""
        client = RawClient(f"rtsp://127.0.0.1:{self.ports[number]}/cam")
        try:
            return client.ask("OPTIONS").status == 200
        finally:
            client.close()


@pytest.fixture
def board() -> Iterator[Board]:
    """Run servers on a main loop."""
    with main_loop() as loop:
        made = Board(loop)
        yield made
        for future in loop.call(made.board.close):
            future.result(30)


def test_a_server_that_takes_its_time_to_close_holds_up_no_other(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is opened again only when it is closed: its port is not free before."""
    released, waits = threading.Event(), threading.Event()

    def wait_gone(_mount: Mount, _seconds: float) -> None:
        waits.set()
        released.wait(60)

    monkeypatch.setattr(Mount, "wait_gone", wait_gone)
    board.open(1)
    board.open(2)
    board.loop.call(board.board.mount, 1, "/cam", source_of(Hub()))
    port = board.ports.pop(1)
    closing = board.loop.call(board.board.close_server, 1)
    board.open(1, port=port)
    assert waits.wait(30)

    assert board.answers(2)
    assert not closing.done()
    assert 1 not in board.ports
    released.set()
    closing.result(30)
    wait_for(lambda: board.ports.get(1) == port)


def test_a_web_server_that_hangs_while_it_closes_holds_up_no_other(board: Board) -> None:
    """Its thread is given up after a while."""
    board.open(1, "web")
    board.open(2)
    server = board.board._servers[1]
    released = threading.Event()
    server._bridge.call(released.wait, 60)  # type: ignore[attr-defined]
    closing = board.loop.call(board.board.close_server, 1)

    assert board.answers(2)
    assert not closing.done()
    released.set()
    closing.result(30)


def test_a_name_server_that_hangs_holds_up_no_other(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is opened once it has answered."""
    released = threading.Event()
    resolve = socket.getaddrinfo

    def hang(*arguments: Any, **options: Any) -> Any:
        if arguments[0] == "localhost":
            released.wait(60)
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    board.open(2)
    board.open(1, address="localhost")

    assert board.answers(2)
    assert 1 not in board.ports
    released.set()
    wait_for(lambda: 1 in board.ports)
    assert board.answers(1)


def test_a_server_that_is_closed_before_its_name_is_resolved_is_not_opened(
    board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer comes too late."""
    released, has_looked = threading.Event(), threading.Event()
    resolve = socket.getaddrinfo

    def hang(*arguments: Any, **options: Any) -> Any:
        released.wait(60)
        has_looked.set()
        return resolve(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    board.open(1, address="localhost")
    board.loop.call(board.board.close_server, 1).result(30)
    released.set()
    assert has_looked.wait(30)
    wait_for(lambda: not [one for one in threading.enumerate() if one.name == "spyglass-resolve"])
    board.loop.call(lambda: None)
    assert 1 not in board.ports


def test_a_name_that_does_not_resolve_is_told(board: Board) -> None:
    """With the name."""
    board.open(1, address="nowhere.invalid")
    wait_for(lambda: 1 in board.failures)
    assert "nowhere.invalid" in board.failures[1]
    assert "nowhere.invalid" in board.loop.call(board.board.failure, 1)
