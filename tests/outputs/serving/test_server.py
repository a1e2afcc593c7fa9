from __future__ import annotations

import gc
import logging
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from backpack._outputs.serving.output import ServedOutput
from backpack.errors import AddressInUseError, SettingsError
from backpack.rtsp import RTSPServer
from backpack.web import WebServer
from tests.apps import State, frame, nothing_left_behind, run_app, streaming
from tests.outputs.rtsp.ports import listens, taken_port
from tests.waiting import stays_true, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

Server: TypeAlias = "RTSPServer | WebServer"

KINDS = pytest.mark.parametrize("kind", [RTSPServer, WebServer])


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def output(server: Server, path: str, *, starts_server: bool = True) -> ServedOutput:
    """Make an output on a server."""
    return ServedOutput(server, path, starts_server=starts_server)


@KINDS
def test_a_server_lives_as_long_as_outputs_need_it(kind: type[Server]) -> None:
    """The first one starts it and the last one stops it."""
    server = kind(0)
    first, second = output(server, "first"), output(server, "/second")
    first.acquire()
    second.acquire()
    assert list(server.streams) == ["/first", "/second"]
    assert server.urls() == first.urls() + second.urls()
    assert first.describe() == {**second.describe(), "path": "/first"}
    assert first.describe()["server"] == server.id
    first.release()
    assert listens(server.port)
    second.release()
    assert not listens(server.port)
    assert server.urls() == []


@KINDS
def test_a_server_that_the_application_started_goes_on(kind: type[Server]) -> None:
    """Outputs that come and go neither start nor stop it."""
    with kind(0) as server:
        one = output(server, "/door")
        one.acquire()
        one.release()
        assert listens(server.port)
    waiting = output(server, "/door", starts_server=False)
    waiting.acquire()
    assert not listens(server.port)
    waiting.release()


@KINDS
def test_a_path_is_taken_once(kind: type[Server]) -> None:
    """Until it is given back; who could not start its server has taken none."""
    with taken_port() as port:
        server = kind(port)
        with pytest.raises(AddressInUseError):
            output(server, "/door").acquire()
    assert list(server.streams) == []
    one, two = (output(server, "/door", starts_server=False) for _ in range(2))
    one.acquire()
    with pytest.raises(SettingsError, match="'/door' is taken already"):
        two.acquire()
    one.release()
    two.acquire()
    two.release()


@KINDS
def test_addresses_are_those_that_lead_there(kind: type[Server]) -> None:
    """IPv6 stands in brackets, and a host that is named in place of our own."""
    server = kind(1234, address="::1")
    assert "://[::1]:1234/door" in server.url("/door")
    assert "://cam.example.org:1234/door" in server.url("/door", "cam.example.org")
    assert (server.address, server.port) == ("::1", 1234)


@KINDS
def test_logs_go_where_the_application_wants_them(kind: type[Server]) -> None:
    """A child of its logger, or the room's."""
    assert kind(0, logging.getLogger("app")).logger.name == f"app.{kind.__name__}"
    assert kind(0).logger.name in ("backpack.rtsp", "backpack.web")


@pytest.mark.parametrize("kind", ["RTSP", "Web"])
def test_a_forked_process_makes_its_own(kind: str) -> None:
    """The copy refuses to start and closes nothing; a URL there is a server of its own."""
    out = run_app(
        f"""
import os, signal, sys, threading
sys.path.insert(0, {str(Path.cwd())!r})
from backpack.errors import StateError
from backpack._outputs.serving import registry as app_registry
from backpack._outputs.serving.registry import server_at
from backpack.{kind.lower()} import {kind}Server
from backpack._outputs.serving.output import ServedOutput
from tests.outputs.rtsp.ports import listens
server = {kind}Server(0)
server.start()
assert server_at({kind}Server, "127.0.0.1", server.port) is server
# Locks that another thread holds at the fork.
held, done = threading.Event(), threading.Event()
def hold():
    with server._life, app_registry._servers_lock:
        held.set()
        done.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    for call in (server.start, ServedOutput(server, "/door", starts_server=True).acquire):
        try:
            call()
        except StateError as error:
            assert "the one that made this {kind}Server" in str(error)
        else:
            raise SystemExit("no StateError")
    server.stop()
    assert server_at({kind}Server, "127.0.0.1", server.port) is None
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
done.set()
holder.join()
assert listens(server.port)
server.stop()
print("good")
"""
    )
    assert out.strip() == "good"


@KINDS
def test_a_port_that_was_lost_is_told_once_and_taken_back(
    kind: type[Server], caplog: pytest.LogCaptureFixture
) -> None:
    """Its stream is in ERROR meanwhile and has no address; then it is served as before."""
    caplog.set_level(logging.WARNING)
    server = kind(0)
    with streaming(output(server, "/door")) as spyglass:
        spyglass.put(frame())
        urls, pid = spyglass.urls(), spyglass.stats().streamer_pid
        assert pid is not None
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: _took(other, server.port), every=0.001)
            other.listen()

            wait_for(lambda: spyglass.state is State.ERROR)
            assert spyglass.urls() == []
            for told in (spyglass.state_reason, spyglass.stats().error or ""):
                assert str(server.port) in told
            # It tries every two seconds; once more than the one that has failed.
            assert stays_true(lambda: spyglass.state is State.ERROR, 2.5)
            told = [one for one in caplog.records if "is not open" in one.getMessage()]
            assert len(told) == 1

        wait_for(lambda: spyglass.put(frame()) and spyglass.state is State.STREAMING)
        assert spyglass.urls() == urls
        assert spyglass.state_reason == ""
        assert listens(server.port)


def _took(sock: socket.socket, port: int) -> bool:
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("address", "only"), [("127.0.0.1", True), ("0.0.0.0", False)], ids=["loopback", "all"]
)
def test_an_rtsp_server_says_where_it_listens(
    address: str, *, only: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One line, and that nobody else can reach it where that is so; not again after a restart."""
    caplog.set_level(logging.INFO)
    server = RTSPServer(0, address=address, allow_anonymous=True)
    with streaming(ServedOutput(server, "/door", starts_server=True)) as spyglass:
        pid, starts = spyglass.stats().streamer_pid, spyglass.stats().starts
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: spyglass.stats().starts > starts and spyglass.state is State.WARMUP)
        told = [one.getMessage() for one in caplog.records if "RTSP at" in one.getMessage()]

        assert len(told) == 1
        assert f"rtsp://127.0.0.1:{server.port}/door" in told[0]
        assert ("this machine only" in told[0]) is only


def test_the_outermost_of_nested_blocks_stops_it() -> None:
    """An inner one neither opens it anew nor closes it."""
    server = RTSPServer(0)
    with server:
        port = server.port
        with server:
            assert server.port == port
        assert listens(port)
    assert not listens(port)
