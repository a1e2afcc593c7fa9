from __future__ import annotations

import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from backpack.errors import AddressInUseError, SettingsError
from backpack.rtsp import RTSPOutput, RTSPServer
from backpack.web import WebOutput, WebServer
from tests.apps import nothing_left_behind, run_app
from tests.rtsp.ports import listens, taken_port

if TYPE_CHECKING:
    from collections.abc import Iterator

Server: TypeAlias = "RTSPServer | WebServer"
Output: TypeAlias = "RTSPOutput | WebOutput"

KINDS = pytest.mark.parametrize("kind", [RTSPServer, WebServer])


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def output(server: Server, path: str, *, starts_server: bool = True) -> Output:
    """Make the output of a server's own kind."""
    if isinstance(server, RTSPServer):
        return RTSPOutput(server, path, starts_server=starts_server)
    return WebOutput(server, path, starts_server=starts_server)


@KINDS
def test_a_server_lives_as_long_as_outputs_need_it(kind: type[Server]) -> None:
    """The first one starts it and the last one stops it."""
    server = kind(0)
    first, second = output(server, "first"), output(server, "/second")
    first.hold()
    second.hold()
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
        one.hold()
        one.release()
        assert listens(server.port)
    waiting = output(server, "/door", starts_server=False)
    waiting.hold()
    assert not listens(server.port)
    waiting.release()


@KINDS
def test_a_path_is_taken_once(kind: type[Server]) -> None:
    """Until it is given back; who could not start its server has taken none."""
    with taken_port() as port:
        server = kind(port)
        with pytest.raises(AddressInUseError):
            output(server, "/door").hold()
    assert list(server.streams) == []
    one, two = (output(server, "/door", starts_server=False) for _ in range(2))
    one.hold()
    with pytest.raises(SettingsError, match="'/door' is taken already"):
        two.hold()
    one.release()
    two.hold()
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
from backpack.listening import app_registry
from backpack.listening.app_registry import server_at
from backpack.{kind.lower()} import {kind}Server, {kind}Output
from tests.rtsp.ports import listens
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
    for call in (server.start, {kind}Output(server, "/door", starts_server=True).hold):
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
