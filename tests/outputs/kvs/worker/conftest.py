from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from backpack._gst.main_loop import call_soon
from tests.kvs_server.server import KVSServer
from tests.kvs_server.tls import context_of, make_certificate
from tests.outputs.kvs.worker.rig import Rig
from tests.waiting import open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _main_context() -> None:
    """GLib opens a descriptor of its own when something is first said to the main thread."""
    call_soon(lambda: None)


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
    monkeypatch.setattr("backpack._outputs.kvs.worker.stream.random", chance)


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
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[KVSServer]:
    """Run a server that speaks TLS only."""
    with KVSServer(tls=context_of(certificate)) as running:
        running.streams.add("test")
        yield running
