from __future__ import annotations

import contextlib
import ctypes
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.worker.http import connection
from tests.outputs.kvs.worker.http.lines import Line
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REFUSED = ("127.0.0.1", 1)


@pytest.fixture
def lines() -> Iterator[Callable[..., Line]]:
    """Make connections that are closed afterwards."""
    made: list[Line] = []

    def make(*values: Any, **more: Any) -> Line:
        made.append(Line(*values, **more))
        return made[-1]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Listen, and take nobody unless a test does."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def url(listener: socket.socket, scheme: str = "http", host: str = "127.0.0.1") -> str:
    """Tell where it listens."""
    return f"{scheme}://{host}:{listener.getsockname()[1]}"


def finds(*addresses: tuple[str, int]) -> Callable[..., list[Any]]:
    """Be a name server that knows these."""
    return lambda *_values, **_more: [
        (socket.AF_INET6 if ":" in address[0] else socket.AF_INET, 1, 6, "", address)
        for address in addresses
    ]


def test_bytes_go_both_ways_at_once(lines: Callable[..., Line], listener: socket.socket) -> None:
    """What the kernel does not take is kept, in order; answers are heard meanwhile."""
    line = lines(url(listener))
    data = bytes(range(256)) * 40_000
    line.connection.send(data[:1000])
    line.run(lambda: line.connection.is_open)
    far, _ = listener.accept()
    with far:
        for at in range(1000, len(data), 1_000_000):
            line.connection.send(data[at : at + 1_000_000])
        assert line.connection.blocked
        assert line.connection.acknowledged < line.connection.handed < len(data)
        far.sendall(b"hello")
        line.run(lambda: line.heard == b"hello")
        got = bytearray()
        far.settimeout(0.0)

        def take() -> bool:
            with contextlib.suppress(BlockingIOError):
                got.extend(far.recv(1 << 20))
            return len(got) == len(data)

        line.run(take)
        assert bytes(got) == data
        assert not line.connection.blocked
        line.run(lambda: line.connection.acknowledged == len(data))
        assert line.connection.handed == len(data)
        # Nothing waits: nobody has to look after it.
        assert line.connection._timer is None


def test_the_first_address_that_answers_is_taken(
    lines: Callable[..., Line], listener: socket.socket
) -> None:
    """One that refuses and one that hangs keep nobody from the third; nothing stays open."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # Its queue is full: the kernel answers nobody else (listen(2)).
        busy = [socket.socket() for _ in range(3)]
        for sock in busy:
            sock.settimeout(0.0)
            sock.connect_ex(full.getsockname())
        line = lines(
            "http://somewhere.test",
            lookup=finds(REFUSED, full.getsockname(), listener.getsockname()),
        )
        line.run(lambda: line.connection.is_open)
        far, address = listener.accept()
        far.close()
        line.run(lambda: line.ends)
        for sock in busy:
            sock.close()

    assert address[0] == "127.0.0.1"
    assert line.ends == [("closed by the service", "")]


def test_where_every_address_fails_the_last_cause_is_told(lines: Callable[..., Line]) -> None:
    """Once."""
    line = lines("http://somewhere.test", lookup=finds(REFUSED, REFUSED))
    line.run(lambda: line.ends)

    assert line.ends == [("connection refused", "")]


def test_who_never_answers_is_given_up(
    lines: Callable[..., Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it is the name server, or the host; not before the time is over."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    hang = threading.Event()

    def lookup(*_values: Any, **_more: Any) -> list[Any]:
        hang.wait(PATIENCE)
        return []

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        busy = [socket.socket() for _ in range(3)]
        for sock in busy:
            sock.settimeout(0.0)
            sock.connect_ex(full.getsockname())
        began = time.monotonic()
        hanging = [
            lines("http://somewhere.test", lookup=lookup),
            lines(url(full)),
        ]
        for line in hanging:
            line.connection.send(b"GET")
            line.run(lambda line=line: line.ends)
            assert line.ends == [("no connection in time", "")]
            assert time.monotonic() - began >= connection.CONNECT_SECONDS
        for sock in busy:
            sock.close()
    hang.set()


def cut(sock: socket.socket) -> None:
    """Cut a line: what comes is thrown away before TCP sees it, and nobody is told."""
    drop_all = struct.pack("HBBI", 0x06, 0, 0, 0)
    program = ctypes.create_string_buffer(drop_all)
    # socket(7): SO_ATTACH_FILTER takes the number of instructions, and where they are.
    sock.setsockopt(socket.SOL_SOCKET, 26, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))


def test_a_line_that_was_cut_is_noticed_while_something_waits(
    lines: Callable[..., Line], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody says that it was; a line on which nothing is sent is left alone."""
    monkeypatch.setattr(connection, "SILENT_SECONDS", 0.5)
    line, silent = lines(url(listener)), lines(url(listener))
    line.run(lambda: line.connection.is_open)
    silent.run(lambda: silent.connection.is_open)
    far = [listener.accept()[0] for _ in range(2)]
    for sock in far:
        cut(sock)
    line.connection.send(b"GET")
    line.run(lambda: line.ends)
    silent.pause()

    assert line.ends == [("connection timed out", "")]
    assert silent.ends == []
    for sock in far:
        sock.close()


def test_tls_that_never_answers_is_given_up(
    lines: Callable[..., Line], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has connected gets the same time once more."""
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.3)
    line = lines(url(listener, "https"))
    line.run(lambda: line.connection.handed)
    began = time.monotonic()
    line.run(lambda: line.ends)

    assert line.ends == [("no connection in time", "")]
    assert time.monotonic() - began >= connection.CONNECT_SECONDS / 2


def test_a_name_is_looked_up_once_at_a_time(lines: Callable[..., Line]) -> None:
    """However often it is tried again: a thread that hangs is one too many already."""
    hang, calls = threading.Event(), []

    def lookup(host: str, *_values: Any, **_more: Any) -> list[Any]:
        calls.append(host)
        hang.wait(PATIENCE)
        return []

    line = lines("http://somewhere.test", lookup=lookup)
    again = line.another("http://somewhere.test")
    line.run(lambda: calls)
    again.close()
    line.pause()
    hang.set()
    line.run(lambda: line.ends)

    assert calls == ["somewhere.test"]
    ((cause, sentence),) = line.ends
    assert cause == "name not found"
    assert "somewhere.test" in sentence


def test_a_line_that_stalls_is_given_up(
    lines: Callable[..., Line], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is taken for a while, and not while something is."""
    monkeypatch.setattr(connection, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(connection, "STALL_SECONDS", 1.0)
    line = lines(url(listener))
    line.run(lambda: line.connection.is_open)
    far, _ = listener.accept()
    with far:
        line.connection.send(bytes(40_000_000))
        far.settimeout(0.0)
        until = time.monotonic() + 1.5 * connection.STALL_SECONDS

        def takes() -> bool:
            with contextlib.suppress(BlockingIOError):
                far.recv(32 * 1024)
            return bool(line.ends) or time.monotonic() > until

        line.run(takes)
        assert line.ends == []
        assert line.connection.blocked
        line.run(lambda: line.ends)

    assert line.ends == [("no progress", "")]


def test_the_last_words_are_heard(lines: Callable[..., Line], listener: socket.socket) -> None:
    """Who says why and hangs up at once is understood, though sending fails from then on."""
    line = lines(url(listener))
    line.run(lambda: line.connection.is_open)
    far, _ = listener.accept()
    line.connection.send(b"video")
    far.recv(1)
    far.sendall(b"because")
    # A close with unread data in the buffer is a reset.
    far.close()
    loop = line.turns.loop
    loop.call_at(loop.time(), line.connection.send, b"video")
    loop.call_at(loop.time(), line.connection.send, b"video")
    line.run(lambda: line.ends)

    assert line.heard == b"because"
    assert line.ends == [("connection reset", "")]


def test_a_reset_that_sending_meets_is_one(
    lines: Callable[..., Line], listener: socket.socket
) -> None:
    """It is told once, and by its name."""
    line = lines(url(listener))
    line.run(lambda: line.connection.is_open)
    far, _ = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    line.connection.send(b"video")
    line.run(lambda: line.ends)
    line.pause()

    assert line.ends == [("connection reset", "")]


def test_nothing_is_told_after_close(lines: Callable[..., Line], listener: socket.socket) -> None:
    """Not even what has come already."""
    line = lines(url(listener))
    line.run(lambda: line.connection.is_open)
    far, _ = listener.accept()
    far.sendall(b"hello")
    far.close()
    line.connection.close()
    line.connection.send(b"x")
    line.pause()

    assert (line.heard, line.ends, line.connection._timer) == (b"", [], None)


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """Be who the certificate says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    return context


class TLSServer(threading.Thread):
    """Take one client, echo what it sends, and say that it is over."""

    def __init__(self, listener: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__()
        self._listener = listener
        self._tls = context
        self.start()

    def run(self) -> None:
        """Echo up to a full stop."""
        far, _ = self._listener.accept()
        far.settimeout(PATIENCE)
        with (
            contextlib.suppress(OSError),
            far,
            self._tls.wrap_socket(far, server_side=True) as secure,
        ):
            while (data := secure.recv(65536)) and not data.endswith(b"."):
                secure.sendall(data)
            secure.sendall(b".")
            secure.unwrap()


def test_tls_carries_frames_of_any_size(
    lines: Callable[..., Line],
    listener: socket.socket,
    tls: ssl.SSLContext,
    certificate: Path,
) -> None:
    """Larger than its records, and what was said before it was there."""
    server = TLSServer(listener, tls)
    line = lines(url(listener, "https"), ca_bundle=str(certificate))
    line.connection.send(b"early ")
    line.run(lambda: line.heard == b"early ")
    line.connection.send(bytes(500_000))
    line.run(lambda: len(line.heard) == 500_006)
    line.connection.send(b".")
    line.run(lambda: line.ends)
    server.join()

    assert line.ends == [("closed by the service", "")]
    assert line.heard.endswith(b"\0.")


def test_a_certificate_that_is_not_trusted_is_explained(
    lines: Callable[..., Line], listener: socket.socket, tls: ssl.SSLContext
) -> None:
    """Nobody vouches for it."""
    server = TLSServer(listener, tls)
    line = lines(url(listener, "https"))
    line.connection.send(b"secret")
    line.run(lambda: line.ends)
    server.join()

    ((cause, sentence),) = line.ends
    assert cause == "certificate refused"
    assert "127.0.0.1" in sentence
    assert "AWS_CA_BUNDLE" in sentence


def test_the_certificate_of_another_host_is_refused(
    lines: Callable[..., Line],
    listener: socket.socket,
    tls: ssl.SSLContext,
    certificate: Path,
) -> None:
    """Though its authority is trusted."""
    server = TLSServer(listener, tls)
    line = lines(
        url(listener, "https", "kinesisvideo.test"),
        lookup=finds(listener.getsockname()),
        ca_bundle=str(certificate),
    )
    line.run(lambda: line.ends)
    server.join()

    assert line.ends[0][0] == "certificate refused"
    assert "kinesisvideo.test" in line.ends[0][1]


def test_old_tls_and_no_tls_are_refused(
    lines: Callable[..., Line],
    listener: socket.socket,
    tls: ssl.SSLContext,
    certificate: Path,
) -> None:
    """TLS 1.2 is the oldest."""
    with pytest.warns(DeprecationWarning, match="TLS"):
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    with contextlib.suppress(ssl.SSLError):
        tls.set_ciphers("ALL:@SECLEVEL=0")
    server = TLSServer(listener, tls)
    line = lines(url(listener, "https"), ca_bundle=str(certificate))
    line.run(lambda: line.ends)
    server.join()
    assert line.ends[0][0] == "TLS failed"

    line = lines(url(listener, "https"), ca_bundle=str(certificate))
    line.run(lambda: line.connection.handed)
    far, _ = listener.accept()
    with far:
        far.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        line.run(lambda: line.ends)
    assert line.ends[0][0] == "TLS failed"
    assert "TLS 1.2" in line.ends[0][1]


def test_a_lookup_that_fails_in_whatever_way_is_tried_again(
    lines: Callable[..., Line], listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for good for an answer that will not come, or for a thread there is not."""
    faults: list[Exception] = [RuntimeError("a fault of a library")]
    found = finds(listener.getsockname())

    def lookup(*values: Any, **more: Any) -> list[Any]:
        if faults:
            raise faults.pop()
        return list(found(*values, **more))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    line = lines("http://somewhere.test", lookup=lookup)
    line.run(lambda: len(line.ends) == 1)
    with monkeypatch.context() as changed:
        changed.setattr(threading.Thread, "start", refuse)
        line.another("http://somewhere.test")
        line.run(lambda: len(line.ends) == 2)
    last = line.another("http://somewhere.test")
    line.run(lambda: last.is_open)
    last.close()
