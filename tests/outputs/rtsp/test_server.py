from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import (
    AddressInUseError,
    MissingDependencyError,
    OutputError,
    SettingsError,
)
from backpack.rtsp import RTSPServer
from backpack.spyglass import SpyGlass
from tests.apps import nothing_left_behind, streaming
from tests.outputs.rtsp.ports import TEST_LAUNCH, ask, listens, taken_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def test_a_server_listens_between_start_and_stop() -> None:
    """Twice is as once; a port of 0 is known once started, and stays."""
    server = RTSPServer(0)
    assert server.port == 0
    server.stop()
    server.start()
    port = server.port
    server.start()
    assert port > 0
    assert listens(port)
    server.stop()
    server.stop()
    assert not listens(port)
    with server:
        assert server.port == port
        assert listens(port)
    assert not listens(port)


def test_a_taken_port_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """AddressInUseError, which is an OSError too, and no log; once free the same server starts."""
    with taken_port() as port:
        server = RTSPServer(port)
        with pytest.raises(AddressInUseError, match=str(port)) as caught:
            server.start()
        assert str(port) not in caplog.text
        assert isinstance(caught.value, OSError)
        assert isinstance(caught.value, OutputError)
        with pytest.raises(AddressInUseError):
            SpyGlass(f"rtsp://127.0.0.1:{port}/door").start_streaming()
    server.start()
    assert listens(port)
    server.stop()


@pytest.mark.parametrize("port", ["8554", 8554])
def test_a_port_may_be_text(port: Any) -> None:
    """As the predecessor had it."""
    assert RTSPServer(port=port).port == 8554


@pytest.mark.parametrize(
    "settings",
    [
        {"port": "door"},
        {"port": None},
        {"port": -1},
        {"port": 65536},
        {"address": "0.0.0.0"},
        {"address": "192.0.2.1"},
        {"certificate": "/nowhere.pem"},
        {"key": "/nowhere.pem"},
        {"rtp_ports": (5, 4)},
        {"users": {"": "x"}},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """The server says so when it is made."""
    with pytest.raises(SettingsError):
        RTSPServer(**{"port": 0, **settings})


def test_pipelines_of_the_applications_own_are_served() -> None:
    """add_stream() and remove_stream(), before and after the start."""
    server = RTSPServer(0)
    server.add_stream("before", TEST_LAUNCH)
    with server:
        server.add_stream("/after", TEST_LAUNCH)
        assert set(server.streams) == {"/before", "/after"}
        port = server.port
        assert set(server.urls()) == {
            f"rtsp://127.0.0.1:{port}/before",
            f"rtsp://127.0.0.1:{port}/after",
        }
        wait_for(lambda: " 200 " in ask(port, "/before"))
        server.remove_stream("/after")
        wait_for(lambda: " 404 " in ask(port, "/after"))
        assert " 200 " in ask(port, "/before")
        with pytest.raises(SettingsError, match="taken already"):
            server.add_stream("/before", TEST_LAUNCH)
        with pytest.raises(SettingsError, match="No pipeline"):
            server.remove_stream("/after")


def test_a_server_that_nothing_can_run_is_no_disaster(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a usable Python it is logged and tried again; where it is required it is raised."""
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("BACKPACK_PYTHON", "/nowhere/python3")
    with pytest.raises(MissingDependencyError, match="apt install"):
        RTSPServer(0, required=True).start()
    assert "apt install" not in caplog.text
    server = RTSPServer(0)
    server.start()
    said = [one.getMessage() for one in caplog.records if "apt install" in one.getMessage()]
    assert len(said) == 1
    assert "cannot stream" in said[0]
    monkeypatch.delenv("BACKPACK_PYTHON")
    assert listens(wait_for(lambda: server.port))
    server.stop()


def test_servers_of_different_ports_run_side_by_side() -> None:
    """Several outputs of one stream, on several servers."""
    with RTSPServer(0) as other, streaming("rtsp://127.0.0.1:0/a", "rtsp://127.0.0.1:0/b") as it:
        ports = {int(url.split(":")[2].split("/")[0]) for url in it.urls()}
        assert len(ports | {other.port}) == 3
