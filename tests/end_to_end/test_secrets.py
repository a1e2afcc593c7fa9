"""No secret of AWS is anywhere but in the application's memory."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._app.shared_supervisor import shared_supervisor
from backpack._ipc import channel
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack.kvs import (
    KVSCredentialsHandler,
    KVSFileCredentialsHandler,
    KVSInlineCredentialsHandler,
    KVSSpyGlass,
)
from tests.kvs_server.faults import HttpError
from tests.kvs_server.server import KVSServer
from tests.kvs_server.signature import Key
from tests.waiting import children, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.end_to_end.conftest import Stage

REGION = "us-east-1"
KEY = "ASIAQQQQEXAMPLEKEY00"
SECRET = secrets.token_hex(20)
TOKEN = secrets.token_hex(60)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KVSServer]:
    """Run a server that knows a temporary key."""
    with KVSServer() as running:
        running.streams.add("test")
        running.keys = {KEY: Key(SECRET, TOKEN)}
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", running.url)
        yield running


class Brought(KVSCredentialsHandler):
    """Credentials of the application's own, which run out at once and are renewed all the time."""

    def get_credentials(self) -> Credentials:
        """Give them."""
        return Credentials.of(KEY, SECRET, TOKEN, time.time() + 6)


HANDLERS = {
    "inline": lambda: KVSInlineCredentialsHandler(KEY, SECRET, aws_session_token=TOKEN),
    "file": lambda: KVSFileCredentialsHandler(None, KEY, SECRET, aws_session_token=TOKEN),
    "brought": Brought,
}


def processes(pid: int) -> Iterator[Path]:
    """Give the folders of a process and of all that it has started."""
    yield Path(f"/proc/{pid}")
    for child in children(pid):
        yield from processes(child)


def told_of(pid: int) -> bytes:
    """Give arguments and environments of a process and of all that it has started."""
    told = b""
    for folder in processes(pid):
        told += (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
    return told


def memory_of(pid: int) -> Iterator[bytes]:
    """Give the writable memory of a process, piece by piece."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        for begin, end in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw", maps, re.MULTILINE):
            # Some pieces are devices', which cannot be read.
            with contextlib.suppress(OSError, ValueError, OverflowError):
                memory.seek(int(begin, 16))
                yield memory.read(int(end, 16) - int(begin, 16))


@pytest.mark.parametrize("kind", HANDLERS)
def test_no_secret_is_told_to_anybody(
    server: KVSServer,
    stage: Stage,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """No log, repr, argument, environment, message, GStreamer log or dump has key or token."""
    caplog.set_level("DEBUG")
    # GStreamer's log file is named to a streaming process when it is started.
    shared_supervisor().shut_down()
    sent: list[bytes] = []
    write = channel.encode
    monkeypatch.setattr(
        channel, "encode", lambda message: (sent.append(write(message)), sent[-1])[1]
    )
    monkeypatch.setenv("GST_DEBUG_DUMP_DOT_DIR", str(tmp_path))
    log = tmp_path / "gst.log"
    handler = HANDLERS[kind]()
    spyglass = KVSSpyGlass(
        REGION, "test", handler, None, str(log), "*:5", fragment_seconds=1.0, required=True
    )
    stage.finally_do(spyglass.stop_streaming)
    # Errors are where secrets come out: some of these, first.
    server.faults.http["/describeStream"] = deque(
        [HttpError(403, "ExpiredToken", "expired"), HttpError(500, "Internal", "broken")]
    )
    # AWS quotes the token where the secret key does not belong to the access key.
    server.keys[KEY] = Key("another", TOKEN)
    spyglass.start_streaming()
    stage.putter(spyglass, 30)
    wait_for(lambda: "secret key" in spyglass.kvs_stats().trouble)
    refused = json.dumps(spyglass.stats().to_dict()) + repr(spyglass.kvs_stats())
    server.keys[KEY] = Key(SECRET, TOKEN)
    wait_for(lambda: spyglass.kvs_stats().fragments_persisted > 1, 60)
    url = spyglass.playback_url()
    pid = spyglass.stats().streamer_pid
    assert pid is not None

    told = told_of(pid)
    reprs = [repr(one) for one in (spyglass, handler, spyglass.stats(), spyglass.kvs_output)]
    in_memory = any(SECRET.encode() in piece for piece in memory_of(pid))
    own_arguments = Path(f"/proc/{os.getpid()}/cmdline").read_bytes()
    spyglass.stop_streaming()

    logs = caplog.text + json.dumps(spyglass.stats().to_dict()) + "".join(reprs) + refused
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert log.stat().st_size
    assert any(b"Signature=" in message for message in sent)
    for secret in (SECRET, TOKEN):
        assert secret not in logs
        assert secret.encode() not in told + written + own_arguments
    assert SECRET.encode() not in b"".join(sent)
    assert not in_memory
    # Whoever has a signature or this address needs no key for a while.
    assert "Signature=" not in logs
    assert url not in logs
