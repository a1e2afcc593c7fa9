from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from backpack._app.output import OutputOptions
from backpack._outputs.rtsp.server import KIND, RTSPServer
from backpack._outputs.serving.output import ServedOutput, output_from_url
from backpack._outputs.serving.place import place_of, running_server
from backpack._outputs.web.server import WebServer
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


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
    assert running_server(place, RTSPServer, {}) is None
    web = WebServer(18554)
    assert running_server(place, RTSPServer, {}) is None
    rtsp = RTSPServer(18554)
    RTSPServer(18554)
    assert running_server(place, RTSPServer, {}) is rtsp
    assert running_server(place, WebServer, {}) is web


def test_a_port_of_0_is_another_server_each_time() -> None:
    """It means any that is free."""
    server = RTSPServer(0)
    assert running_server(place_of("rtsp://127.0.0.1:0/door", KIND), RTSPServer, {}) is None
    assert server.port == 0


def test_a_server_that_is_gone_is_not_found() -> None:
    """Knowing it does not keep it."""
    place = place_of("rtsp://127.0.0.1:18555/door", KIND)
    server: RTSPServer | None = RTSPServer(18555)
    assert running_server(place, RTSPServer, {}) is server
    server = None
    gc.collect()
    assert running_server(place, RTSPServer, {}) is None


def test_another_login_is_refused() -> None:
    """None at all takes the server's; one that differs would be one too many."""
    server = RTSPServer(18556, users={"anna": "a"})
    for login in ("", "anna:a@"):
        place = place_of(f"rtsp://{login}127.0.0.1:18556/door", KIND)
        assert running_server(place, RTSPServer, place.users) is server
    place = place_of("rtsp://berta:secret@127.0.0.1:18556/door", KIND)
    with pytest.raises(SettingsError, match=r"other users.*an RTSPServer\(users=") as caught:
        running_server(place, RTSPServer, place.users)
    assert "secret" not in str(caught.value)


def served(url: str, **options: Any) -> ServedOutput:
    """Make the output that a URL stands for."""
    return output_from_url(url, RTSPServer, OutputOptions(**options))


def test_a_url_with_tls_means_the_server_that_was_made_for_it(
    certificate: tuple[Path, Path],
) -> None:
    """A URL holds no certificate: without such a server the error says how to make one."""
    url = "rtsps://anna:secret@127.0.0.1:18557/a"
    with pytest.raises(SettingsError, match=r"RTSPS needs.*RTSPServer\(18557,") as caught:
        served(url)
    assert "secret" not in str(caught.value)

    public, private = certificate
    server = RTSPServer(18557, certificate=public, key=private, users={"anna": "secret"})
    assert served(url).server is server
    with pytest.raises(SettingsError, match="reached by rtsps://"):
        served("rtsp://127.0.0.1:18557/a")


def test_a_url_with_tls_takes_the_certificate_that_goes_with_it(
    certificate: tuple[Path, Path],
) -> None:
    """As the command line has it; a URL without TLS leaves it alone."""
    public, private = map(str, certificate)
    secure = served("rtsps://127.0.0.1/a", certificate=public, key=private).server
    plain = served("rtsp://127.0.0.1/a", certificate=public, key=private).server
    assert (secure.port, secure._settings.certificate) == (8322, public)
    assert (plain.port, plain._settings.certificate) == (8554, None)
