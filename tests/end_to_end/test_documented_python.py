"""Every block of Python in README and docs is run as it stands, but for addresses and paths."""

from __future__ import annotations

import contextlib
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.serving.server import ListeningServer
from backpack.kvs import KVSSpyGlass
from backpack.spyglass import SpyGlass
from tests.apps import frame, putting
from tests.end_to_end.kvs import REGION
from tests.outputs.rtsp.conftest import make_certificate
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kvs_server.server import KVSServer

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_PORT = re.compile(r"(?<=:)(8080|8443|8554)(?=/)|(?<=Server\(\n    )(8322|8443|8554)(?=,)")
# Where nothing streams but what another test runs: docs/rtsp.md's recipe for OpenCV.
_PLAYERS = "import cv2"


def blocks() -> list[Any]:
    """Find all of them, each with where it stands."""
    return [
        pytest.param(match[1], id=f"{path.name}-{path.read_text()[: match.start()].count(chr(10))}")
        for path in DOCUMENTS
        for match in _BLOCK.finditer(path.read_text())
    ]


def test_they_are_found() -> None:
    """The documents show some; else nothing below would be tested."""
    assert len(blocks()) > 12


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: KVSServer) -> Iterator[Path]:
    """Run in a folder with a certificate and a key, and stop whatever was started."""
    server.streams.add("front-door")
    certificate, key = make_certificate(tmp_path)
    certificate.rename(tmp_path / "cert.pem")
    key.rename(tmp_path / "key.pem")
    (tmp_path / ".env").write_text("AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n")
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stops:

        def stop_later(kind: Any, start: str, stop: str) -> None:
            original = getattr(kind, start)

            def started(one: Any, *arguments: Any, **options: Any) -> None:
                stops.callback(getattr(one, stop))
                original(one, *arguments, **options)

            monkeypatch.setattr(kind, start, started)

        stop_later(ListeningServer, "start", "stop")
        stop_later(SpyGlass, "start_streaming", "stop_streaming")
        yield tmp_path


def free_port(_: object) -> str:
    """Return a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return str(sock.getsockname()[1])


def local(block: str, folder: Path) -> str:
    """Return a block with addresses and paths of this machine in the place of the examples'."""
    block = _PORT.sub(free_port, block)
    block = re.sub(r"192\.0\.2\.\d+", "127.0.0.1", block)
    for name in ("thingCert.crt", "rootCA.pem"):
        block = block.replace(f"/greengrass/v2/{name}", str(folder / "cert.pem"))
    block = block.replace("/greengrass/v2/privKey.key", str(folder / "key.pem"))
    return block.replace("/panorama/.env", str(folder / ".env"))


@pytest.mark.parametrize("block", blocks())
def test_a_documented_block_runs(block: str, here: Path, server: KVSServer) -> None:
    """With what an application has: a camera, something that draws, and a SpyGlass."""
    text = local(block, here)
    names: dict[str, Any] = {
        "SpyGlass": SpyGlass,
        "KVSSpyGlass": KVSSpyGlass,
        "camera": [frame(value=value) for value in range(5)],
        "annotate": lambda image: image,
    }
    if _PLAYERS in block:
        pytest.importorskip("cv2", reason="OpenCV is not installed")
        door = names["door"] = SpyGlass("rtsp://127.0.0.1:0/door")
        door.start_streaming()
        text = re.sub(r"rtsp://[^\"]+", door.urls()[0], text)
    elif "spyglass" in text and "SpyGlass(" not in text:
        spyglass = names["spyglass"] = KVSSpyGlass(REGION, "front-door", fragment_seconds=1.0)
        spyglass.start_streaming()
        with putting(spyglass):
            wait_for(lambda: server.streams["front-door"].persisted() > 1)

    exec(compile(text, "documented", "exec"), names)

    if _PLAYERS in block:
        assert names["taken"]
