"""Be a proxy of HTTP that connects others, and does nothing else: strict, and as rude as asked."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ConnectProxy"]

_FIRST = re.compile(rb"CONNECT (\[[0-9a-f:]+\]|[a-z0-9.-]+):([0-9]+) HTTP/1\.([01])")
_LONGEST = 8192


class ConnectProxy:
    """
    Listen on 127.0.0.1, two threads for each connection.

    Args:
        login: ``user:password`` that has to be given. None: nothing may be given.
        names: Addresses of names that only the proxy knows.

    Attributes:
        answer: With it, this is what everybody is answered, and then ended.
        targets: What was asked for, in order.
        complaints: What was said to it that should not have been.

    """

    def __init__(self, login: str | None = None, names: dict[str, str] | None = None) -> None:
        self.answer = b""
        self.targets: list[str] = []
        self.complaints: list[str] = []
        self._login = login
        self._names = names or {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._lock = threading.Lock()
        self._socks: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Tell where it is, with its login."""
        login = "" if self._login is None else f"{self._login}@"
        return f"http://{login}127.0.0.1:{self.port}"

    def close(self) -> None:
        """End everything. Idempotent."""
        with self._lock:
            self._closing = True
            socks = [self._listener, *self._socks]
        for sock in socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in list(self._threads):
            thread.join()
        for sock in socks:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self, target: object, *values: object) -> None:
        thread = threading.Thread(target=target, args=values, name="connect-proxy", daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _keep(self, sock: socket.socket) -> bool:
        with self._lock:
            self._socks.add(sock)
            return not self._closing

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                if self._keep(sock):
                    self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        far = None
        with contextlib.suppress(OSError, ValueError):
            head, rest = _read_head(sock)
            target = self._look_at(head)
            if rest:
                self.complaints.append("spoke on before it was answered")
            refusal = self.answer or self._refusal(head)
            if refusal:
                sock.sendall(refusal)
            elif target is not None:
                host, port = target
                far = socket.create_connection((self._names.get(host, host), port), 5.0)
                far.settimeout(None)
                if self._keep(far):
                    # In two parts, as the network may cut it.
                    for part in (b"HTTP/1.1 200 Connection est", b"ablished\r\nVia: test\r\n\r\n"):
                        sock.sendall(part)
                    self._start(_carry, far, sock)
                    _carry(sock, far)
        self._drop(sock)
        if far is not None:
            self._drop(far)

    def _look_at(self, head: list[bytes]) -> tuple[str, int] | None:
        found = _FIRST.fullmatch(head[0])
        if found is None:
            self.complaints.append(f"{head[0]!r}")
            return None
        target = head[0].split()[1].decode()
        self.targets.append(target)
        # Python's own client speaks 1.0 to a proxy before 3.12.
        if found[3] == b"1" and b"Host: " + target.encode() not in head[1:]:
            self.complaints.append(f"no Host for {target}")
        return found[1].decode().strip("[]"), int(found[2])

    def _refusal(self, head: list[bytes]) -> bytes:
        given = [line for line in head if line.lower().startswith(b"proxy-authorization:")]
        if self._login is None:
            if given:
                self.complaints.append("a login that nobody has asked for")
            return b""
        wanted = b"Proxy-Authorization: Basic " + base64.b64encode(self._login.encode())
        if given == [wanted]:
            return b""
        return (
            b'HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm="x"\r\n'
            b"Content-Length: 0\r\n\r\n"
        )

    def _drop(self, sock: socket.socket) -> None:
        with self._lock:
            self._socks.discard(sock)
        sock.close()


def _read_head(sock: socket.socket) -> tuple[list[bytes], bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(_LONGEST)
        if not part or len(data) > _LONGEST:
            raise ValueError("no head")
        data += part
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), rest


def _carry(here: socket.socket, there: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := here.recv(1 << 16):
            there.sendall(data)
    for sock in (here, there):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
