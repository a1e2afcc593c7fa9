"""Be Kinesis Video Streams on this machine, as strict as the real one, or as broken as asked."""

from __future__ import annotations

import itertools
import logging
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

from tests.kvs_server.control import Control
from tests.kvs_server.faults import Faults
from tests.kvs_server.putmedia import PutMedia
from tests.kvs_server.signature import Key, check_signature
from tests.kvs_server.streams import Streams
from tests.kvs_server.wire import (
    HEAD_SECONDS,
    Closed,
    Refused,
    Request,
    Wire,
    answer,
    read_request,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from typing_extensions import Self

__all__ = ["ACCESS_KEY", "SECRET_KEY", "KVSServer"]

# Those of AWS's documentation.
ACCESS_KEY = "AKIDEXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

SEND_SECONDS = 30.0

_log = logging.getLogger("kvs_server")


class KVSServer:
    """
    Listen on a loopback address, a thread for each connection.

    Args:
        port: Where to listen; 0 takes a free port.
        region: Where it pretends to be.
        address: An address of this machine.
        clock: Seconds since the epoch; what signatures are held against.
        tls: With it, everything is TLS.

    """

    def __init__(
        self,
        port: int = 0,
        *,
        region: str = "us-east-1",
        address: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.region = region
        self.keys = {ACCESS_KEY: Key(SECRET_KEY)}
        self.faults = Faults()
        self.streams = Streams(clock)
        # Every request that came, in order: path, and what it was answered with.
        self.requests: list[tuple[str, int]] = []
        # The same as they came, for tests that look at headers.
        self.heads: list[Request] = []
        self._address = address
        self._port = port
        self._clock = clock
        self._tls = tls
        self._control = Control(self.streams, lambda: self.url, clock)
        self._numbers = itertools.count(1)
        # Guards what stands below.
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._open: dict[threading.Thread, socket.socket] = {}
        self._acceptor: threading.Thread | None = None
        self._closing = False
        self.listen()

    @property
    def url(self) -> str:
        """Tell where it answers, for the control plane and for video."""
        return f"{'https' if self._tls else 'http'}://{self._address}:{self._port}"

    @property
    def address(self) -> tuple[str, int]:
        """Tell where it listens."""
        return self._address, self._port

    def listen(self) -> None:
        """Take connections; on the port of before, if it has listened before."""
        listener = socket.create_server((self._address, self._port), reuse_port=False)
        self._port = listener.getsockname()[1]
        with self._lock:
            self._listener = listener
            self._closing = False
            self._acceptor = threading.Thread(
                target=self._accept, args=(listener,), name="kvs-server"
            )
            self._acceptor.start()

    def refuse(self) -> None:
        """Be gone: connections are cut, and new ones refused by the kernel. Idempotent."""
        with self._lock:
            self._closing = True
            listener, self._listener = self._listener, None
            acceptor, self._acceptor = self._acceptor, None
        # What hangs must not hang here.
        frozen = not self.faults.awake.is_set()
        self.faults.thaw()
        if listener is not None:
            # close() alone would not wake up accept().
            listener.shutdown(socket.SHUT_RDWR)
        if acceptor is not None:
            acceptor.join()
        if listener is not None:
            listener.close()
        with self._lock:
            connections = dict(self._open)
        for sock in connections.values():
            _cut(sock)
        for thread in connections:
            thread.join()
        if frozen:
            self.faults.freeze()

    def close(self) -> None:
        """End everything. Idempotent."""
        self.refuse()
        self.faults.thaw()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            self.faults.awake.wait()
            select.select([listener], [], [])
            if not self.faults.awake.is_set() and not self._closing:
                continue
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(sock,), name="kvs-server-client")
            with self._lock:
                self._open[thread] = sock
            thread.start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(SEND_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._open[threading.current_thread()] = sock
                sock.do_handshake()
            wire = Wire(sock, self._before_read)
            while self._answer(wire):
                wire.timeout_seconds = HEAD_SECONDS
        except (Closed, OSError) as error:
            _log.debug("connection: %s", error)
        finally:
            sock.close()
            with self._lock:
                self._open.pop(threading.current_thread(), None)

    def _before_read(self, last: int) -> None:
        """Do as a slow server, or as one that hangs."""
        self.faults.awake.wait()
        if self._closing:
            raise Closed("the server is being closed")
        if self.faults.bytes_a_second is not None and last:
            time.sleep(last / self.faults.bytes_a_second)

    def _answer(self, wire: Wire) -> bool:
        """Answer one request. False: it was the connection's last."""
        path = "?"
        try:
            request = read_request(wire, proceed=self.faults.continues)
            path = request.target
            with self._lock:
                self.heads.append(request)
            self._check(request)
            if path == "/putMedia":
                media = PutMedia(wire, request, self.streams, self.faults, self._number)
                self._note(path, 200)
                media.serve()
                _drain(wire)
                return False
            content = self._control.answer(request)
            # Before the answer: the next request may come on another connection.
            self._note(path, 200)
            wire.send(answer(200, content))
        except Refused as refused:
            self._note(path, refused.status)
            _log.info("%s", refused)
            error = ("x-amzn-ErrorType", f"{refused.error}Exception")
            content = {"message": refused.message}
            wire.send(answer(refused.status, content, error, ("Connection", "close")))
            _drain(wire)
            return False
        else:
            return (request.get("connection") or "").lower() != "close"

    def _check(self, request: Request) -> None:
        host = request.get("host")
        # AWS's own producer leaves the port out, even one that is not usual.
        if host not in (self._address, f"{self._address}:{self._port}", "localhost"):
            raise Refused(400, "BadRequest", f"Host {host!r}.")
        fault = self.faults.next_http(request.target)
        if fault is not None:
            raise Refused(fault.status, fault.error, fault.message)
        check_signature(request, keys=self.keys, region=self.region, now=self._clock())

    def _number(self) -> int:
        return next(self._numbers)

    def _note(self, path: str, status: int) -> None:
        with self._lock:
            self.requests.append((path, status))


def _cut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _drain(wire: Wire) -> None:
    """
    Let the client read the last answer.

    A close with unread data in the buffer is a reset, which throws away what
    the client has not read yet.
    """
    try:
        wire.timeout_seconds = 0.5
        wire.sock.shutdown(socket.SHUT_WR)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            wire.some(64 * 1024)
    except (Closed, OSError):
        return
