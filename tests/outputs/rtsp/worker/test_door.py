"""Which connections are let in, and which must make room."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.rtsp.worker import door as door_module
from backpack._outputs.rtsp.worker import tls as tls_module
from backpack._outputs.rtsp.worker.shares import MOST_OF_CONNECTION
from backpack._outputs.serving.worker.connections import ConnectionLimits
from tests.clients import RawClient, watching
from tests.outputs.rtsp.conftest import open_things, until

if TYPE_CHECKING:
    from pathlib import Path

    from backpack._outputs.rtsp.worker.server import Server
    from tests.outputs.rtsp.conftest import Rig, Serving
    from tests.streams import NumberedStream


@pytest.fixture
def secure(rig: Rig, stream: NumberedStream, certificate: tuple[Path, Path]) -> Serving:
    """Give a server that speaks TLS, with the stream at /cam."""
    serving = rig.serve(certificate=str(certificate[0]), key=str(certificate[1]))
    serving.mount("/cam", stream.hub)
    return serving


def connected(serving: Serving) -> socket.socket:
    """Connect, and say nothing."""
    return socket.create_connection((serving.host, serving.port), timeout=30)


def test_idle_connections_make_room_for_who_comes(rig: Rig, stream: NumberedStream) -> None:
    """And viewers stay, whoever comes."""
    serving = rig.serve(limits=ConnectionLimits(total=4))
    serving.mount("/cam", stream.hub)
    with contextlib.ExitStack() as lines:
        viewer = lines.enter_context(RawClient(serving.url()))
        assert viewer.play().status == 200
        silent = [lines.enter_context(connected(serving)) for _ in range(20)]
        with RawClient(serving.url()) as other:
            assert other.play().status == 200
        assert silent[0].recv(1) == b""
        assert viewer.ask("GET_PARAMETER").status == 200


def test_more_viewers_than_allowed_are_refused(rig: Rig, stream: NumberedStream) -> None:
    """With 503; when one goes there is room again."""
    serving = rig.serve(max_viewers=1)
    serving.mount("/cam", stream.hub)
    transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
    with RawClient(serving.url()) as viewer, RawClient(serving.url()) as other:
        assert viewer.play().status == 200
        assert other.describe().status == 200
        assert other.ask("SETUP", f"{other.url}/stream=0", Transport=transport).status == 503
        assert viewer.ask("TEARDOWN").status == 200

    def may_watch() -> bool:
        with RawClient(serving.url()) as next_one:
            described = next_one.describe().status == 200
            setup = next_one.ask("SETUP", f"{next_one.url}/stream=0", Transport=transport)
            return described and setup.status == 200

    until(may_watch)


@pytest.mark.parametrize(
    "transport", ["RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP;unicast;client_port=40000-40001"]
)
def test_who_leaves_without_a_word_frees_its_place(
    rig: Rig, stream: NumberedStream, transport: str
) -> None:
    """At once, and not when its session has run out."""
    serving = rig.serve(max_viewers=1)
    serving.mount("/cam", stream.hub)
    monitor = serving.server._monitor
    assert monitor is not None
    for _ in range(2):
        with RawClient(serving.url()) as viewer:
            assert viewer.play(transport).status == 200
        # 25 s are announced.
        until(lambda: not monitor._pool.get_n_sessions(), timeout=15)


def test_one_connection_has_few_sessions(rig: Rig, stream: NumberedStream) -> None:
    """And when they end it may have others."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
    with RawClient(serving.url()) as client:
        for status in (*[200] * MOST_OF_CONNECTION, 503):
            client.session = None
            answer = client.ask("SETUP", f"{client.url}/stream=0", Transport=transport)
            assert answer.status == status
    monitor = serving.server._monitor
    assert monitor is not None
    until(lambda: not monitor._shares._sessions)


def test_no_descriptors_left_is_no_end(
    rig: Rig,
    stream: NumberedStream,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is said, and tried again; the connection that waits is served then."""
    monkeypatch.setattr(door_module, "RETRY_MS", 50)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    short = Short(serving.server)
    with RawClient(serving.url()) as client:
        until(lambda: short.refused)
        short.give_back()
        assert client.play().status == 200
    assert "Cannot accept RTSP connections: Too many open files. Trying again." in caplog.text


class Short:
    """Take a server's socket, and fail to accept from it for lack of descriptors."""

    def __init__(self, server: Server) -> None:
        assert server._door is not None
        self._door = server._door
        self._sock = self._door._sock
        self.refused = 0
        self._door._sock = self  # type: ignore[assignment]

    def give_back(self) -> None:
        """Let it accept again."""
        self._door._sock = self._sock

    def accept(self) -> Any:
        """Fail."""
        self.refused += 1
        raise OSError(errno.EMFILE, "Too many open files")

    def fileno(self) -> int:
        """Give the real one's."""
        return self._sock.fileno()


def test_silent_connections_do_not_hold_up_tls(secure: Serving) -> None:
    """Two hundred of them cost no thread, and a viewer has its picture."""
    with contextlib.ExitStack() as lines:
        with watching(secure.url()) as client:
            client.wait(1)
        _, threads = open_things()
        for _ in range(200):
            lines.enter_context(connected(secure))
        with watching(secure.url()) as client:
            client.wait(1)
        assert open_things()[1] <= threads


@pytest.mark.parametrize("said", [b"\x16\x03\x01", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"])
def test_a_handshake_that_does_not_end_is_cut(
    secure: Serving, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """After its time, or at once where it is none."""
    monkeypatch.setattr(tls_module, "HANDSHAKE_SECONDS", 0.2)
    for sent in (said, b""):
        with connected(secure) as line:
            line.sendall(sent)
            with contextlib.suppress(ConnectionError):
                while line.recv(100):
                    pass


def test_too_many_handshakes_cut_the_oldest(
    secure: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that those who never end theirs keep nobody out."""
    monkeypatch.setattr(tls_module, "HANDSHAKES", 2)
    with contextlib.ExitStack() as lines:
        begun = [lines.enter_context(connected(secure)) for _ in range(3)]
        with contextlib.suppress(ConnectionError):
            assert begun[0].recv(1) == b""
        with watching(secure.url()) as client:
            client.wait(1)


def test_old_tls_is_refused(secure: Serving) -> None:
    """TLS 1.0 and 1.1 are deprecated (RFC 8996); 1.2 is taken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # At level 1 and above OpenSSL would not even offer them.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with connected(secure) as line, context.wrap_socket(line) as encrypted:
        assert encrypted.version() == "TLSv1.2"
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with connected(secure) as line, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(line)


def test_what_was_passed_on_ends_with_either_side(secure: Serving) -> None:
    """No descriptor and no thread stays of connections that were encrypted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE

    def ask() -> None:
        with connected(secure) as line, context.wrap_socket(line) as encrypted:
            encrypted.sendall(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")
            assert b"200 OK" in encrypted.recv(1000)

    door = secure.server._door
    assert door is not None
    ask()
    until(lambda: len(door._connections) == 0)
    before = open_things()
    for _ in range(5):
        ask()
    until(lambda: len(door._connections) == 0)
    until(lambda: open_things() <= before)


def test_a_server_that_is_closed_cuts_handshakes(secure: Serving) -> None:
    """Who waits in one is disconnected, and the port is free."""
    with connected(secure) as line:
        secure.close()
        with contextlib.suppress(ConnectionError):
            assert line.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            connected(secure)
