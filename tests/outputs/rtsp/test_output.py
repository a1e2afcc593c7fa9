from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

from backpack._app.output import OutputOptions
from backpack._outputs.rtsp.output import output_from_url
from backpack.errors import (
    SettingsError,
)
from backpack.rtsp import RTSPServer, RTSPSpyGlass
from backpack.spyglass import SpyGlass
from tests.apps import frame, nothing_left_behind, streaming
from tests.outputs.rtsp.ports import ask, listens, taken_port
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield
    gc.collect()


def test_a_wider_address_asks_for_users_or_for_a_yes() -> None:
    """Whoever wants to be watched by everyone has to say so."""
    RTSPServer(0, address="0.0.0.0", users={"a": "b"})
    server = RTSPServer(0, address="0.0.0.0", allow_anonymous=True)
    RTSPSpyGlass(server, "/door")
    with pytest.raises(SettingsError, match="allow_anonymous"):
        SpyGlass("rtsp://0.0.0.0:0/door")
    SpyGlass("rtsp://0.0.0.0:0/door", allow_anonymous=True)


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
    kept = output_from_url(f"rtsp://anna:a@127.0.0.1:{port}/one", OutputOptions())
    output_from_url(f"rtsp://anna:a@127.0.0.1:{port}/two", OutputOptions())
    output_from_url(f"rtsp://127.0.0.1:{port}/three", OutputOptions())
    with pytest.raises(SettingsError, match="other users"):
        output_from_url(f"rtsp://berta:b@127.0.0.1:{port}/four", OutputOptions())
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
