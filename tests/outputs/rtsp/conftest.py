from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.rtsp.settings import RTSPServerSettings
from backpack._outputs.rtsp.worker.server import Server
from tests.streams import MainLoop, NumberedStream, main_loop, source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backpack._media.hub import Hub
    from backpack._outputs.serving.worker.connections import ConnectionLimits


@dataclass
class Serving:
    """A server that is open, driven from another thread than its own."""

    server: Server
    loop: MainLoop
    port: int
    host: str = "127.0.0.1"
    scheme: str = "rtsp"

    def url(self, path: str = "/cam", login: str = "") -> str:
        """Write the address of a path."""
        return f"{self.scheme}://{login}{self.host}:{self.port}{path}"

    def mount(self, path: str, hub: Hub) -> str:
        """Serve a hub, and give its address."""
        self.loop.call(self.server.mount, path, source_of(hub))
        return self.url(path)

    def unmount(self, path: str) -> None:
        """Serve a path no more."""
        self.loop.call(self.server.unmount, path)

    def viewers(self, path: str = "/cam") -> int:
        """Count who gets data."""
        return self.loop.call(self.server.viewers, path)

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

    def serve(self, *, limits: ConnectionLimits | None = None, **settings: Any) -> Serving:
        """Open a server, on a free port unless one is given."""
        settings.setdefault("port", 0)
        made = RTSPServerSettings(**settings)
        server = Server(made, limits=limits)
        port = self.loop.call(server.open)
        host = f"[{made.address}]" if ":" in made.address else made.address
        scheme = "rtsps" if made.secure else "rtsp"
        serving = Serving(server, self.loop, port, host, scheme)
        self._stack.callback(serving.close)
        return serving


@pytest.fixture(scope="session")
def loop() -> Iterator[MainLoop]:
    """Run GLib's main loop for all tests, as the streaming process does."""
    with main_loop() as running:
        yield running


@pytest.fixture
def rig(loop: MainLoop) -> Iterator[Rig]:
    """Give a maker of servers and streams."""
    with ExitStack() as stack:
        yield Rig(loop, stack)


@pytest.fixture
def stream(rig: Rig) -> NumberedStream:
    """Give a stream of 30 numbered pictures a second."""
    return rig.stream()


@pytest.fixture
def serving(rig: Rig, stream: NumberedStream) -> Serving:
    """Give a server with the stream at /cam."""
    made = rig.serve()
    made.mount("/cam", stream.hub)
    return made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Make a certificate and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a self-signed certificate for 127.0.0.1."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def open_things() -> tuple[int, int]:
    """Count this process's descriptors and threads."""
    return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))


def until(condition: Callable[[], object], timeout: float = 30, what: str = "") -> float:
    """Wait for something that only the far side or the kernel can tell; say how long it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < timeout, what or "it did not come true"
        time.sleep(0.01)
    return time.monotonic() - start
