from __future__ import annotations

import logging
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from tests.apps import State, frame, nothing_left_behind
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh() -> Iterator[None]:
    """Load the package anew, as an application does."""
    kept = {name: module for name, module in sys.modules.items() if name.startswith("backpack")}
    for name in kept:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.startswith("backpack")]:
        del sys.modules[name]
    sys.modules.update(kept)


def warned(code: str) -> tuple[list[warnings.WarningMessage], dict[str, Any]]:
    """Run code as an application's file and give what it was warned of."""
    names: dict[str, Any] = {"__name__": "application"}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(compile(code, "application.py", "exec"), names)
    return caught, names


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("from backpack.skyline import SkyLine", "backpack.spyglass.SpyGlass"),
        ("import backpack.skyline", "backpack.spyglass.SpyGlass"),
        ("from backpack.kvs import KVSSkyLine", "backpack.kvs.KVSSpyGlass"),
        ("from backpack.rtsp import RTSPSkyLine", "backpack.rtsp.RTSPSpyGlass"),
        ("import backpack.rtsp\nbackpack.rtsp.RTSPSkyLine", "backpack.rtsp.RTSPSpyGlass"),
    ],
)
def test_an_old_name_warns_once(code: str, says: str) -> None:
    """Exactly one DeprecationWarning, at the application's line, with the new name."""
    caught, _ = warned(code)

    assert [one.category for one in caught] == [DeprecationWarning]
    assert says in str(caught[0].message)
    assert caught[0].filename == "application.py"


@pytest.mark.usefixtures("fresh")
def test_the_new_names_do_not_warn() -> None:
    """Nothing is deprecated that is current."""
    caught, _ = warned(
        "from backpack import RTSPServer, RTSPSpyGlass, SpyGlass\nimport backpack.push"
    )
    assert caught == []


@pytest.mark.usefixtures("fresh")
def test_old_names_are_the_new_classes() -> None:
    """`isinstance` and `State` go on working."""
    _, names = warned(
        "from backpack.skyline import SkyLine, USE_LAST_VALUE\n"
        "from backpack.rtsp import RTSPSkyLine\n"
        "from backpack import RTSPSpyGlass, SpyGlass\n"
    )
    assert names["SkyLine"] is names["SpyGlass"]
    assert names["RTSPSkyLine"] is names["RTSPSpyGlass"]
    assert issubclass(names["RTSPSkyLine"], names["SkyLine"])
    assert names["SkyLine"].State.STREAMING.name == "STREAMING"
    assert names["USE_LAST_VALUE"] == -999


def free_port() -> int:
    """Find a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_the_predecessors_calls_work(tmp_path: Any) -> None:
    """Port as text, the stream started before the server, positional settings, logger and files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from backpack.rtsp import RTSPServer, RTSPSkyLine  # noqa: PLC0415
        from backpack.skyline import USE_LAST_VALUE  # noqa: PLC0415

    logger = logging.getLogger("application")
    port = free_port()
    with nothing_left_behind():
        server = RTSPServer(port=str(port), parent_logger=logger)
        skyline = RTSPSkyLine(
            server,
            "/stream1",
            parent_logger=logger,
            gst_log_file=str(tmp_path / "gst.log"),
            gst_log_level="INFO",
            dotenv_path=str(tmp_path / ".env"),
        )
        assert skyline.logger.name == "application.RTSPSpyGlass"
        skyline.start_streaming(30, 640, 480)
        server.start()
        assert server.port == port
        assert server.urls() == [f"rtsp://127.0.0.1:{port}/stream1"]
        assert wait_for(lambda: skyline.put(frame(640, 480)))
        assert skyline.state is State.STREAMING
        socket.create_connection(("127.0.0.1", port), 10).close()
        skyline.stop_streaming()
        skyline.start_streaming(USE_LAST_VALUE, USE_LAST_VALUE, USE_LAST_VALUE)
        assert (skyline.video_fps, skyline.video_width, skyline.video_height) == (30, 640, 480)
        skyline.stop_streaming()
        server.stop()
    wait_for(lambda: (tmp_path / "gst.log").stat().st_size)
