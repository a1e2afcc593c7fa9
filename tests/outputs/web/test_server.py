from __future__ import annotations

import gc
import io
import json
import logging
import os
import signal
import time
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError

import pytest

from backpack._app.output import OutputOptions
from backpack._outputs.web.output import output_from_url
from backpack.errors import AddressInUseError, SettingsError
from backpack.spyglass import SpyGlass
from backpack.web import WebServer, WebSpyGlass
from tests.apps import nothing_left_behind
from tests.numbered import numbered
from tests.outputs.rtsp.ports import listens, taken_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def fetch(url: str) -> bytes:
    """Ask for a complete address as a browser does, which keeps the cookie."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(url, timeout=30) as answer:
        return bytes(answer.read())


def streams(server: WebServer) -> list[dict[str, Any]]:
    """Ask the server for its streams; none where it does not answer."""
    try:
        return list(json.loads(fetch(server.url("/api/streams")))["streams"])
    except URLError:
        return []


def test_a_server_listens_between_start_and_stop() -> None:
    """Twice is as once; a port of 0 is known once started, and stays."""
    server = WebServer(0)
    server.stop()
    server.start()
    port = server.port
    server.start()
    assert listens(port)
    assert b"Streams" in fetch(server.url())
    server.stop()
    server.stop()
    assert not listens(port)
    with server:
        assert server.port == port
        assert listens(port)


def test_a_stream_is_shown_on_it() -> None:
    """Numbers and thumbnails come from the stream itself; nothing is encoded for them."""
    server = WebServer(0)
    door = WebSpyGlass(server, "door")
    assert server.streams == []
    with server, door:
        assert door.urls() == [server.url("/door")]
        assert wait_for(lambda: door.put(numbered(5)))
        (found,) = wait_for(lambda: streams(server))
        assert found["path"] == door.path == "/door"
        jpeg = wait_for(lambda: _snapshot(server))
        assert jpeg[:2] == b"\xff\xd8"
        assert b"spyglass_frames_encoded_total" in fetch(server.url("/metrics"))
        assert door.stats().encoded == 0


def _snapshot(server: WebServer) -> bytes:
    try:
        return fetch(server.url("/door/snapshot.jpg"))
    except HTTPError:
        return b""


def test_the_token_outlives_the_streaming_process() -> None:
    """After a kill -9 the same address leads to the same streams."""
    server = WebServer(0)
    with server, WebSpyGlass(server, "/door") as door:
        wait_for(lambda: streams(server))
        pid = door.stats().streamer_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: door.stats().streamer_pid not in (pid, None))
        wait_for(lambda: streams(server))


def test_a_taken_port_is_told() -> None:
    """AddressInUseError; once free the same server starts."""
    with taken_port() as port:
        server = WebServer(port)
        with pytest.raises(AddressInUseError, match=str(port)):
            server.start()
        with pytest.raises(AddressInUseError):
            SpyGlass(f"http://127.0.0.1:{port}/door").start_streaming()
    with server:
        assert listens(port)


def test_a_made_token_is_told_and_a_given_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    """As Jupyter does: nobody else knows it."""
    caplog.set_level(logging.INFO)
    with WebServer(0) as made, WebServer(0, token=TOKEN) as given:
        assert made.url() in caplog.text
        assert len(made.token or "") == 32
        assert given.token == TOKEN
        assert TOKEN not in caplog.text
        assert TOKEN not in repr(given)
    assert WebServer(0).token != WebServer(0).token


@pytest.mark.parametrize(
    ("level", "handler"),
    [
        (logging.NOTSET, logging.NullHandler()),
        (logging.WARNING, logging.StreamHandler(io.StringIO())),
        (logging.INFO, None),
    ],
)
def test_a_made_token_is_told_where_nothing_is_logged(
    capfd: pytest.CaptureFixture[str], level: int, handler: logging.Handler | None
) -> None:
    """On standard error, once; nothing is said twice, and a token that was given not at all."""
    shown = io.StringIO()
    parent = logging.getLogger(f"tests.application.{level}")
    parent.propagate = False
    parent.setLevel(level)
    parent.addHandler(handler or logging.StreamHandler(shown))
    with WebServer(0, parent) as made, WebServer(0, parent, token=TOKEN):
        said = capfd.readouterr()
        assert said.out == ""
        assert (said.err + shown.getvalue()).count(made.url()) == 1
        assert TOKEN not in said.err + shown.getvalue()
        assert bool(said.err) == (handler is not None)


def test_an_open_server_has_no_token() -> None:
    """Its address is the plain one."""
    server = WebServer(8080, allow_anonymous=True)
    assert server.token is None
    assert server.url("/door") == "http://127.0.0.1:8080/door"
    assert WebServer(8080, address="::1", token=TOKEN).url("/a").startswith("http://[::1]:8080/a?")


@pytest.mark.parametrize(
    "settings",
    [
        {"port": "door"},
        {"port": 65536},
        {"address": "192.0.2.1"},
        {"certificate": "/nowhere.pem"},
        {"users": {"": "x"}},
        {"token": "short"},
        {"max_viewers": 0},
        {"allowed_hosts": ["a b"]},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """The server says so when it is made."""
    with pytest.raises(SettingsError):
        WebServer(**{"port": 0, **settings})


def test_a_url_stands_for_a_stream_on_a_server() -> None:
    """The same host and port are the same server, also one that the application has made."""
    server = WebServer(18080, users={"anna": "pw"})
    one = output_from_url("http://localhost:18080/one", OutputOptions())
    two = output_from_url("http://anna:pw@127.0.0.1:18080/two", OutputOptions())

    assert one.server is two.server is server
    assert one.describe() == {"kind": "web", "server": 0, "path": "/one"}
    with pytest.raises(SettingsError, match="other users"):
        output_from_url("http://bert:pw@127.0.0.1:18080/three", OutputOptions())


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://127.0.0.1/door", "certificate"),
        ("http://127.0.0.1:99999/door", "port"),
        ("http://127.0.0.1/door?x", r"before '\?'"),
        ("http://127.0.0.1/", "path"),
        ("http://127.0.0.1/metrics", "path"),
        ("http://anna:secret@192.0.2.1/door", "192.0.2.1"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, named: str) -> None:
    """What is wrong is said, and no password with it."""
    with pytest.raises(SettingsError, match=named) as caught:
        output_from_url(url, OutputOptions())
    assert "secret" not in str(caught.value)


def test_two_streams_cannot_share_a_path() -> None:
    """The second one is refused, and the path is free again when the first has ended."""
    server = WebServer(0)
    first, second = WebSpyGlass(server, "/door"), WebSpyGlass(server, "/door")
    with first, pytest.raises(SettingsError, match="taken"):
        second.start_streaming()
    second.start_streaming()
    second.stop_streaming()


def test_the_page_is_an_output_beside_others() -> None:
    """One encode, in the page and over RTSP; the server runs as long as it is needed."""
    glass = SpyGlass("http://127.0.0.1:0/door", "rtsp://127.0.0.1:0/door")
    with glass:
        page, rtsp = glass.urls()
        assert rtsp.startswith("rtsp://")
        assert b"SpyGlass" in fetch(page)
        port = int(page.split(":")[2].split("/")[0])
        deadline = time.monotonic() + 30
        while not listens(port):
            assert time.monotonic() < deadline
    wait_for(lambda: not listens(port))


def test_who_looks_at_jpegs_is_a_viewer_for_whom_nothing_is_encoded() -> None:
    """The application is told of them while they are there, and no longer."""
    server = WebServer(0, allow_anonymous=True, required=True)
    with server, WebSpyGlass(server, "/door", required=True) as door:

        def put_and_count() -> int:
            door.put(numbered(1))
            return door.stats().viewers

        with urllib.request.urlopen(f"{server.url('/door')}/stream.mjpg", timeout=30) as pictures:
            wait_for(lambda: put_and_count() == 1)
            assert pictures.readline().startswith(b"--")
        wait_for(lambda: put_and_count() == 0)
        stats = door.stats()
        assert stats.encoded == stats.repeated == 0
