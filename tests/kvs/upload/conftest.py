from __future__ import annotations

import ssl
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.kvs.upload.rig import Rig
from tests.kvs_server.server import KVSServer
from tests.waiting import open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Each test ends with the threads and the descriptors that it began with."""
    before = open_descriptors()
    yield
    wait_for(lambda: not threads_named("spyglass-kvs"), what="a thread of ours")
    wait_for(lambda: open_descriptors() <= before, what="a descriptor of ours")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jitter is looked at elsewhere."""
    chance = SimpleNamespace(random=lambda: 0.02)
    monkeypatch.setattr("backpack.kvs.upload.output.random", chance)


@pytest.fixture
def server() -> Iterator[KVSServer]:
    """Run a server with one stream, 'test'."""
    with KVSServer() as running:
        running.streams.add("test")
        yield running


@pytest.fixture
def rig(server: KVSServer) -> Iterator[Rig]:
    """Upload to it."""
    with Rig(server) as made:
        yield made


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 and localhost; its key stands beside it."""
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    command += " -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1,DNS:localhost"
    subprocess.run(
        [*command.split(), "-keyout", path.with_suffix(".key"), "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[KVSServer]:
    """Run a server that speaks TLS only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with KVSServer(tls=context) as running:
        running.streams.add("test")
        yield running
