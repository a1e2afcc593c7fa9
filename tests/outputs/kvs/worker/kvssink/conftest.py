from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.kvssink.build import Build, build
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.outputs.kvs.worker.kvssink.bench import Bench
from tests.outputs.kvs.worker.producer.video import FPS
from tests.waiting import children, open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.kvs_server.streams import Stream

STREAM = "test"
REGION = "us-east-1"


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Compile the stand-in of kvssink."""
    if not shutil.which("gcc") or not shutil.which("pkg-config"):
        pytest.fail("gcc and pkg-config are needed: script/setup installs them.")
    return build(tmp_path_factory.mktemp("kvssink"))


@pytest.fixture(autouse=True)
def _nothing_is_left() -> None:
    """Here it is `opened` that looks, since a SpyGlass keeps its streaming process for a while."""


@pytest.fixture(autouse=True)
def _caches(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep GStreamer's registries out of the user's home, for all tests together."""
    monkeypatch.setenv("XDG_CACHE_HOME", os.fspath(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def dotenv(stand_in: Build, tmp_path: Path) -> Path:
    """Write the `.env` that leads to the stand-in."""
    path = tmp_path / ".env"
    path.write_text(stand_in.dotenv)
    return path


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Write the credentials file that kvssink reads."""
    path = tmp_path / "credentials"
    path.touch(0o600)
    path.write_text(f"CREDENTIALS {ACCESS_KEY} {SECRET_KEY}\n")
    return path


@pytest.fixture
def server() -> Iterator[KVSServer]:
    """Run a server with one stream."""
    with KVSServer(region=REGION) as running:
        running.streams.add(STREAM)
        yield running


@pytest.fixture
def stream(server: KVSServer) -> Stream:
    """Give what the server keeps."""
    return server.streams[STREAM]


@pytest.fixture
def described(server: KVSServer, dotenv: Path, credentials: Path) -> dict[str, Any]:
    """Describe an output as the application does."""
    return {
        "kind": "kvssink",
        "region": REGION,
        "stream_name": STREAM,
        "endpoint": server.url,
        "dotenv_path": os.fspath(dotenv),
        "credentials_path": os.fspath(credentials),
        "fps": FPS,
        "fragment_seconds": 1.0,
    }


@pytest.fixture
def opened(described: dict[str, Any]) -> Iterator[Callable[..., Bench]]:
    """Open outputs; close them afterwards and see that nothing is left of them."""
    before = children(), open_descriptors()
    with contextlib.ExitStack() as end:

        def open_one(**changes: Any) -> Bench:
            bench = Bench(**(described | changes))
            end.callback(bench.close)
            bench.open()
            return bench

        yield open_one
    wait_for(lambda: not threads_named("spyglass-kvssink"))
    assert children() <= before[0]
    # The server has some, too, until it has noticed that the child has gone.
    wait_for(lambda: open_descriptors() <= before[1])
