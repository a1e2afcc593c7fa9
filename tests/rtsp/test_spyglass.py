from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from backpack.errors import (
    AddressInUseError,
    MissingDependencyError,
    OutputError,
    SettingsError,
)
from backpack.rtsp import RTSPServer, RTSPSpyGlass
from backpack.rtsp.spyglass import output_from_url
from backpack.spyglass import SpyGlass
from tests.apps import State, frame, nothing_left_behind, streaming
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEST_LAUNCH = "( videotestsrc is-live=true ! x264enc ! rtph264pay name=pay0 )"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


@contextlib.contextmanager
def taken_port() -> Iterator[int]:
    """Listen on a port, as another program would."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        yield int(sock.getsockname()[1])


def ask(port: int, path: str, method: str = "DESCRIBE") -> str:
    """Ask an RTSP server something, and give the first line of its answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        url = f"rtsp://127.0.0.1:{port}{path}"
        sock.sendall(f"{method} {url} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        return sock.recv(4096).decode().splitlines()[0]


def listens(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return False
    return True


# --- the server -------------------------------------------------------------------


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


def test_a_taken_port_is_told() -> None:
    """AddressInUseError, which is an OSError too; once it is free the same server starts."""
    with taken_port() as port:
        server = RTSPServer(port)
        with pytest.raises(AddressInUseError, match=str(port)) as caught:
            server.start()
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


def test_a_wider_address_asks_for_users_or_for_a_yes() -> None:
    """Whoever wants to be watched by everyone has to say so."""
    RTSPServer(0, address="0.0.0.0", users={"a": "b"})
    server = RTSPServer(0, address="0.0.0.0", allow_anonymous=True)
    RTSPSpyGlass(server, "/door")
    with pytest.raises(SettingsError, match="allow_anonymous"):
        SpyGlass("rtsp://0.0.0.0:0/door")
    SpyGlass("rtsp://0.0.0.0:0/door", allow_anonymous=True)


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
    """Without a usable Python it is logged and tried again, unless it is required."""
    caplog.set_level(logging.WARNING)
    monkeypatch.setenv("BACKPACK_PYTHON", "/nowhere/python3")
    server = RTSPServer(0)
    server.start()
    assert "cannot stream" in caplog.text
    with pytest.raises(MissingDependencyError, match="apt install"):
        RTSPServer(0, required=True).start()
    monkeypatch.delenv("BACKPACK_PYTHON")
    assert listens(wait_for(lambda: server.port))
    server.stop()


# --- streams on it ------------------------------------------------------------------


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


def test_several_streams_share_a_server() -> None:
    """The same host and port in URLs are one server, which runs as long as one of them needs it."""
    with taken_port() as port:
        pass
    with streaming(f"rtsp://127.0.0.1:{port}/one"):
        with streaming(f"rtsp://127.0.0.1:{port}/two", f"rtsp://localhost:{port}/three"):
            for path in ("/one", "/two", "/three"):
                assert " 200 " in ask(port, path)
        assert listens(port)
        wait_for(lambda: " 404 " in ask(port, "/two"))
    assert not listens(port)


def test_a_url_may_name_a_server_that_was_made() -> None:
    """Also one whose port was 0; it goes on when the URL's stream stops."""
    with RTSPServer(0) as server:
        with streaming(f"rtsp://127.0.0.1:{server.port}/door"):
            assert " 200 " in ask(server.port, "/door")
        assert listens(server.port)


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


def test_servers_of_different_ports_run_side_by_side() -> None:
    """Several outputs of one stream, on several servers."""
    with RTSPServer(0) as other, streaming("rtsp://127.0.0.1:0/a", "rtsp://127.0.0.1:0/b") as it:
        ports = {int(url.split(":")[2].split("/")[0]) for url in it.urls()}
        assert len(ports | {other.port}) == 3


def test_a_login_in_the_url_is_asked_for() -> None:
    """user:password@ is who may watch, and is shown nowhere."""
    with streaming("rtsp://anna:geheim%21@127.0.0.1:0/door") as spyglass:
        (url,) = spyglass.urls()
        assert "geheim" not in url
        assert "anna" not in url
        port = int(url.split(":")[2].split("/")[0])
        assert " 401 " in ask(port, "/door")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rtsp://127.0.0.1:notaport/door", "port"),
        ("rtsp://127.0.0.1:99999/door", "port"),
        ("rtsp://127.0.0.1:0/door?x=1", r"\?"),
        ("rtsp://127.0.0.1:0/", "mount path"),
        ("rtsp://127.0.0.1:0", "mount path"),
        ("rtsp://127.0.0.1:0/a b", "mount path"),
        ("rtsp://192.0.2.1:0/door", "192"),
        ("rtsps://127.0.0.1:0/door", "certificate"),
        ("rtsps://anna:geheim@127.0.0.1:0/door", "certificate"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, says: str) -> None:
    """The error says why, without the password."""
    with pytest.raises(SettingsError, match=says) as caught:
        SpyGlass(url)
    assert "geheim" not in str(caught.value)


def test_urls_of_one_server_have_the_same_users() -> None:
    """Two logins for one port would be one too many."""
    with taken_port() as port:
        pass
    kept = output_from_url(f"rtsp://anna:a@127.0.0.1:{port}/one")
    output_from_url(f"rtsp://anna:a@127.0.0.1:{port}/two")
    output_from_url(f"rtsp://127.0.0.1:{port}/three")
    with pytest.raises(SettingsError, match="other users"):
        output_from_url(f"rtsp://berta:b@127.0.0.1:{port}/four")
    assert kept.server.port == port


def test_numbers_are_those_of_the_viewers() -> None:
    """Nobody watches: nothing is encoded, one frame a second is handed over."""
    with streaming("rtsp://127.0.0.1:0/door") as spyglass:
        for _ in range(100):
            spyglass.put(frame())
        stats = spyglass.stats()
    assert (stats.viewers, stats.encoded) == (0, 0)
    assert stats.accepted + stats.not_wanted == 100
    assert stats.accepted <= 3


def test_representations_show_addresses_and_no_secrets(tmp_path: Path) -> None:
    """What is printed helps, and gives nothing away."""
    server = RTSPServer(8555, users={"anna": "geheim"}, parent_logger=logging.getLogger("app"))
    door = RTSPSpyGlass(server, "/door", gst_log_file=os.fspath(tmp_path / "log"))
    assert repr(server) == "<RTSPServer streams=[]>"
    assert repr(door) == "<RTSPSpyGlass STOPPED rtsp://127.0.0.1:8555/door>"
    assert "geheim" not in repr(server) + repr(door) + repr(server._settings)
    assert server.logger.name == "app.RTSPServer"
