from __future__ import annotations

import gc

import pytest

from backpack._outputs.rtsp.server import KIND, RTSPServer
from backpack._outputs.serving.place import place_of, running_server
from backpack._outputs.web.server import WebServer
from backpack.errors import SettingsError


def test_a_url_says_where_to_listen() -> None:
    """Address, port and login; what is left out is this machine, the usual port and nobody."""
    place = place_of("rtsp://anna:p%40ss@[::1]:77/a/b", KIND)
    assert (place.address, place.port, place.path) == ("::1", 77, "/a/b")
    assert place.users == {"anna": "p@ss"}
    assert "p@ss" not in repr(place)
    assert "p%40ss" not in repr(place)

    place = place_of("rtsp://localhost/door", KIND)
    assert (place.address, place.port, place.users) == ("127.0.0.1", 8554, {})
    assert place_of("rtsp:///door", KIND).address == "127.0.0.1"


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("rtsp://anna:secret@h:99999/a", "port"),
        ("rtsp://anna:secret@h:x/a", "port"),
        ("rtsps://anna:secret@h/a", r"RTSPS needs.*RTSPServer\(8322,"),
        ("rtsp://anna:secret@h/a?b", r"'\?'"),
        ("rtsp://anna:secret@h/a#b", r"'\?'"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, named: str) -> None:
    """What is wrong is said, and no password with it."""
    with pytest.raises(SettingsError, match=named) as caught:
        place_of(url, KIND)
    assert "secret" not in str(caught.value)


def test_the_same_host_and_port_are_the_same_server() -> None:
    """Of its kind: whether two kinds can share a port the kernel decides."""
    place = place_of("rtsp://127.0.0.1:18554/door", KIND)
    assert running_server(place, RTSPServer) is None
    web = WebServer(18554)
    assert running_server(place, RTSPServer) is None
    rtsp = RTSPServer(18554)
    RTSPServer(18554)
    assert running_server(place, RTSPServer) is rtsp
    assert running_server(place, WebServer) is web


def test_a_port_of_0_is_another_server_each_time() -> None:
    """It means any that is free."""
    server = RTSPServer(0)
    assert running_server(place_of("rtsp://127.0.0.1:0/door", KIND), RTSPServer) is None
    assert server.port == 0


def test_a_server_that_is_gone_is_not_found() -> None:
    """Knowing it does not keep it."""
    place = place_of("rtsp://127.0.0.1:18555/door", KIND)
    server: RTSPServer | None = RTSPServer(18555)
    assert running_server(place, RTSPServer) is server
    server = None
    gc.collect()
    assert running_server(place, RTSPServer) is None


def test_another_login_is_refused() -> None:
    """None at all takes the server's; one that differs would be one too many."""
    server = RTSPServer(18556, users={"anna": "a"})
    for login in ("", "anna:a@"):
        place = place_of(f"rtsp://{login}127.0.0.1:18556/door", KIND)
        assert running_server(place, RTSPServer) is server
    place = place_of("rtsp://berta:secret@127.0.0.1:18556/door", KIND)
    with pytest.raises(SettingsError, match=r"other users.*an RTSPServer\(users=") as caught:
        running_server(place, RTSPServer)
    assert "secret" not in str(caught.value)
