"""Ask at ports who listens there, as any program would."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# Without a look ahead, which on a busy machine takes longer than a client waits.
TEST_LAUNCH = (
    "( videotestsrc is-live=true ! x264enc tune=zerolatency speed-preset=ultrafast "
    "! rtph264pay name=pay0 )"
)


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
