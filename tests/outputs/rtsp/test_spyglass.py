from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING

import pytest

from backpack.errors import (
    SettingsError,
)
from backpack.rtsp import RTSPServer, RTSPSpyGlass
from tests.apps import State, frame, nothing_left_behind
from tests.outputs.rtsp.ports import TEST_LAUNCH, ask
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def test_a_stream_may_start_before_its_server() -> None:
    """And the server may stop and start again: the stream waits for it."""
    server = RTSPServer(0)
    door = RTSPSpyGlass(server, "door")
    door.start_streaming()
    assert wait_for(lambda: door.put(frame()))
    with server:
        port = server.port
        assert door.urls() == server.urls() == [f"rtsp://127.0.0.1:{port}/door"]
        wait_for(lambda: " 200 " in ask(port, "/door"))
    assert door.state is State.STREAMING
    with server:
        wait_for(lambda: " 200 " in ask(port, "/door"))
        door.stop_streaming()
        wait_for(lambda: " 404 " in ask(port, "/door"))
    assert server.urls() == []


def test_a_path_is_served_once() -> None:
    """A second stream at the same path is refused when it starts, and the first goes on."""
    with RTSPServer(0) as server:
        server.add_stream("/own", TEST_LAUNCH)
        one, two = RTSPSpyGlass(server, "/door"), RTSPSpyGlass(server, "/door")
        with one:
            with pytest.raises(SettingsError, match="taken already"):
                two.start_streaming()
            assert two.state is State.STOPPED
            with pytest.raises(SettingsError, match="taken already"):
                server.add_stream("/door", TEST_LAUNCH)
            with pytest.raises(SettingsError, match="taken already"):
                RTSPSpyGlass(server, "/own").start_streaming()
            assert " 200 " in ask(server.port, "/door")
        with two:
            assert " 200 " in ask(server.port, "/door")


def test_representations_show_addresses_and_no_secrets(tmp_path: Path) -> None:
    """What is printed helps, and gives nothing away."""
    server = RTSPServer(8555, users={"anna": "geheim"}, parent_logger=logging.getLogger("app"))
    door = RTSPSpyGlass(server, "/door", gst_log_file=os.fspath(tmp_path / "log"))
    assert repr(server) == "<RTSPServer streams=[]>"
    assert repr(door) == "<RTSPSpyGlass STOPPED rtsp://127.0.0.1:8555/door>"
    assert "geheim" not in repr(server) + repr(door) + repr(server._settings)
    assert server.logger.name == "app.RTSPServer"
