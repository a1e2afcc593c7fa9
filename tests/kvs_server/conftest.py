from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kvs_server.client import HandClient
from tests.kvs_server.server import KVSServer

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).parents[1] / "outputs/kvs/worker/producer/golden"


@pytest.fixture
def server() -> Iterator[KVSServer]:
    """Run a server with one stream, 'test'."""
    with KVSServer() as running:
        running.streams.add("test")
        yield running


@pytest.fixture
def client(server: KVSServer) -> Iterator[HandClient]:
    """Connect to it."""
    with HandClient(server) as made:
        yield made


@pytest.fixture(scope="session")
def golden() -> bytes:
    """What AWS's own producer sent."""
    return (GOLDEN / "putmedia.mkv").read_bytes()
