"""Serve numbered pictures to browsers: a real server, real frames, a real encoder."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from backpack._app.frame import ring_view
from backpack._app.timeline import Stamp
from backpack._ipc.ring import Ring, RingReader, RingWriter
from backpack._ipc.settings import PixelFormat
from backpack._outputs.web.settings import WebServerSettings
from backpack._outputs.web.worker.server import Server
from backpack._worker.snapshot import Snapshots
from tests.numbered import numbered
from tests.streams import MainLoop, NumberedStream, source_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from backpack._media.hub import Hub

TOKEN = "a-token-of-the-tests"


class Frames:
    """Be a stream's ring and its intake, as far as snapshots need them."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._stopped = False
        self._reader: RingReader | None = None
        self._writer: RingWriter | None = None
        self.snapshots = Snapshots(self._wake.set)
        self._thread = threading.Thread(target=self._run, name="tests' intake", daemon=True)
        self._thread.start()

    def put(self, number: int, *, age_ns: int = 0) -> None:
        """Put a numbered frame."""
        frame = numbered(number)
        if self._writer is None:
            self._writer = RingWriter(Ring(frame.nbytes), ring_view, np.copyto)
            ring = self._writer.ring
            self._reader = RingReader(_dup(ring.memory_fd), _dup(ring.wake_read_fd))
        now_ns = time.monotonic_ns() // 1000 * 1000 - age_ns
        stamp = Stamp(now_ns, time.time_ns() - age_ns, 0)
        self._writer.write(frame, PixelFormat.BGR, stamp)

    def close(self) -> None:
        """End it, as the streaming process ends a stream."""
        self._stopped = True
        self._wake.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.snapshots.close()
        if self._reader is not None:
            self._reader.close()
        if self._writer is not None:
            self._writer.close()

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait()
            self._wake.clear()
            self.snapshots.serve(self._reader)


def _dup(fd: int) -> int:
    import os  # noqa: PLC0415

    return os.dup(fd)


@dataclass
class Answer:
    """What a server has answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        """Its body as text."""
        return self.body.decode()


@dataclass
class Serving:
    """A server that is open, driven from another thread than its own."""

    server: Server
    loop: MainLoop
    port: int
    settings: WebServerSettings
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The address that it listens on, for a URL."""
        address = self.settings.address
        return f"[{address}]" if ":" in address else address

    def url(self, path: str = "/", *, host: str = "", query: str = "", port: int = 0) -> str:
        """Write an address, complete with the token; of a relay if its port is given."""
        scheme = "https" if self.settings.secure else "http"
        token = f"?token={self.settings.token}" if self.settings.token else "?"
        return f"{scheme}://{host or self.host}:{port or self.port}{path}{token}{query}"

    def mount(self, path: str, hub: Hub, snapshot: Callable[..., None] | None = None) -> None:
        """Show a hub."""
        self.loop.call(
            lambda: self.server.mount(
                path, source_of(hub, numbers=lambda: self.numbers, snapshot=snapshot)
            )
        )

    def unmount(self, path: str) -> None:
        """Show a path no more."""
        self.loop.call(self.server.unmount, path)

    def viewers(self, path: str = "/cam") -> int:
        """Count who gets pictures."""
        return self.loop.call(self.server.viewers, path)

    def lost(self, path: str = "/cam") -> int:
        """Count what viewers were too slow for."""
        return self.loop.call(self.server.lost, path)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        login: bool = True,
        body: bytes | None = None,
    ) -> Answer:
        """Ask for something, as a program with the token does."""
        given = {"Authorization": f"Bearer {self.settings.token}"} if login else {}
        address = self.settings.address
        if self.settings.secure:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = http.client.HTTPSConnection(
                address, self.port, timeout=30, context=context
            )
        else:
            connection = http.client.HTTPConnection(address, self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers={**given, **(headers or {})})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def close(self) -> None:
        """Close the server."""
        self.loop.call(self.server.close).result(30)


class Rig:
    """Make servers and streams, and take them down again."""

    def __init__(self, loop: MainLoop, stack: ExitStack) -> None:
        self.loop = loop
        self._stack = stack

    def stream(self, fps: float = 30.0, **options: Any) -> NumberedStream:
        """Start a stream of numbered pictures."""
        stream = NumberedStream(fps, **options)
        self._stack.callback(stream.close)
        return stream

    def frames(self) -> Frames:
        """Make a ring whose newest frame can be asked for."""
        frames = Frames()
        self._stack.callback(frames.close)
        return frames

    def serve(self, limits: Any = None, **settings: Any) -> Serving:
        """Open a server, on a free port and with a token unless others are given."""
        settings = {"port": 0, "token": TOKEN, **settings}
        made = WebServerSettings(**settings)
        server = Server(made, limits=limits)
        port = self.loop.call(server.open)
        serving = Serving(server, self.loop, port, made)
        self._stack.callback(serving.close)
        return serving
