from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backpack.push import GstSink
from tests.apps import SOURCE, State, nothing_left_behind, putting, streaming
from tests.clients import RawClient
from tests.outputs.gst.far_sides import FFMPEG, PIPELINES, free_port, listening
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backpack.spyglass import SpyGlass

RTSP = "rtsp://127.0.0.1:0/door"


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


def sink(kind: str, port: int, host: str = "127.0.0.1") -> GstSink:
    """Make an output that sends to a host and a port."""
    return GstSink(PIPELINES[kind].format(host=host, port=port))


def trouble(spyglass: SpyGlass) -> str:
    """Return what the last output of a stream says is wrong."""
    return str(spyglass.stats().outputs[-1]["trouble"])


def assert_is_served(spyglass: SpyGlass) -> None:
    """Ask the RTSP server of the same stream for the stream's description."""
    with contextlib.closing(RawClient(spyglass.urls()[0])) as client:
        assert client.describe().status == 200


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_far_side_may_come_late_and_go_and_come_again(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time it gets pictures, and while it is away only its own output says so."""
    port = free_port(kind)
    with streaming(RTSP, sink(kind, port)) as spyglass, putting(spyglass):
        wait_for(lambda: trouble(spyglass))
        wait_for(lambda: spyglass.state is State.STREAMING)
        assert spyglass.state_reason == trouble(spyglass)
        assert_is_served(spyglass)
        # SRT notices after seconds only that the far side is away.
        for _ in range(1 if kind == "srt" else 2):
            with listening(kind, port) as far_side:
                wait_for(lambda far_side=far_side: far_side.pictures > 5)
                wait_for(lambda: not trouble(spyglass))
            assert_is_served(spyglass)
            wait_for(lambda: trouble(spyglass))
        assert spyglass.state is State.STREAMING
    said = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert 0 < len(said) < 12, "what is tried again is not logged each time"


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_name_that_does_not_resolve_is_told(kind: str) -> None:
    """With the name, in the state's reason as in the numbers; the other outputs go on."""
    with streaming(RTSP, sink(kind, 9, "nowhere.invalid")) as spyglass, putting(spyglass):
        wait_for(lambda: "nowhere.invalid" in trouble(spyglass))
        wait_for(lambda: spyglass.state is State.STREAMING)
        assert "nowhere.invalid" in spyglass.state_reason
        assert_is_served(spyglass)


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen without accepting, with a full backlog: requests to connect are not answered."""
    with socket.socket() as server, contextlib.ExitStack() as connections:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(3):
            connection = connections.enter_context(socket.socket())
            connection.setblocking(False)  # noqa: FBT003 - the standard library's own call
            connection.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.parametrize("kind", ["tcp", "rtsp", "rtmp"])
def test_a_host_that_does_not_answer_holds_up_nobody(kind: str, silent_port: int) -> None:
    """While one output waits for a connection, streams start, viewers are served, frames flow."""
    with streaming(RTSP, sink(kind, silent_port)) as spyglass, putting(spyglass):
        # Its attempt to connect takes ten seconds: all of this happens within it.
        assert_is_served(spyglass)
        with streaming("rtsp://127.0.0.1:0/yard") as other:
            assert_is_served(other)
        assert not trouble(spyglass)


def test_an_answer_that_never_comes_is_told(silent_port: int) -> None:
    """With host and port, once the attempt has been given up; another one follows."""
    with streaming(RTSP, sink("tcp", silent_port)) as spyglass, putting(spyglass):
        wait_for(lambda: f"127.0.0.1:{silent_port} does not answer" in trouble(spyglass))
        assert "tcpclientsink" in trouble(spyglass)


def test_a_wrong_login_is_told() -> None:
    """As such, and without the password."""
    port = free_port("rtsp")
    pipeline = f"h264parse ! rtspclientsink location=rtsp://me:wrong@127.0.0.1:{port}/door"
    with (
        listening("rtsp", port, "me", "right"),
        streaming(RTSP, GstSink(pipeline)) as spyglass,
        putting(spyglass),
    ):
        wait_for(lambda: "nauthorized" in trouble(spyglass))
        assert "wrong" not in trouble(spyglass)


def test_a_folder_that_is_missing_is_told_and_waited_for(tmp_path: Path) -> None:
    """A disk that is mounted late is recorded on, though nothing could be opened at the start."""
    path = tmp_path / "disk" / "out.h264"
    with (
        streaming(GstSink(f"filesink location={path} buffer-mode=unbuffered")) as spyglass,
        putting(spyglass),
    ):
        wait_for(lambda: trouble(spyglass))
        assert str(path) in trouble(spyglass)
        path.parent.mkdir()
        wait_for(lambda: path.exists() and path.stat().st_size > 1000)


def test_a_listening_socket_waits_for_its_first_caller_as_long_as_it_takes() -> None:
    """That nobody has called yet is no failure, and who calls gets pictures."""
    port = free_port("srt")
    server = GstSink(
        "h264parse config-interval=-1 ! mpegtsmux alignment=7 "
        f"! srtsink uri=srt://127.0.0.1:{port}?mode=listener"
    )
    with streaming(server, fps=60) as spyglass, putting(spyglass, fps=60):
        # By then nothing has been taken for a while, and pictures are lost.
        wait_for(lambda: spyglass.stats().lost > 10)
        caller = subprocess.Popen(
            [
                *(*FFMPEG, "-i", f"srt://127.0.0.1:{port}"),
                *("-frames:v", "3", "-an", "-f", "null", "-"),
            ],
            stdin=subprocess.DEVNULL,
        )
        try:
            assert caller.wait(60) == 0
        finally:
            caller.kill()
            caller.wait()
        assert not trouble(spyglass)


_BEHIND_A_SILENT_NAME_SERVER = """
import json, socket, sys, time
import numpy as np
from backpack.push import GstSink
from backpack.spyglass import SpyGlass
from tests.clients import RawClient

names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
names.bind(("127.0.0.1", 53))
names.settimeout(30)
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", GstSink(sys.argv[1]))
with spyglass:
    names.recv(512)
    for _ in range(10):
        spyglass.put(np.zeros((240, 320, 3), np.uint8))
    client = RawClient(spyglass.urls()[0])
    status = client.describe().status
    client.close()
    print(json.dumps([status, spyglass.stats().outputs[1]["trouble"]]))
"""


@pytest.mark.parametrize("kind", ["tcp", "srt"])
def test_a_silent_name_server_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    """A name that is asked for and not answered keeps its own output alone."""
    resolver = tmp_path / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    command = [*alone(resolver), sys.executable, "-c", _BEHIND_A_SILENT_NAME_SERVER]
    pipeline = PIPELINES[kind].format(host="media.example", port=9000)
    done = subprocess.run(
        [*command, pipeline],
        env={"PYTHONPATH": f"{SOURCE}:{SOURCE.parent}", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == _NO_NAMESPACE:
        pytest.skip(f"no network namespace can be made here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    status, told = json.loads(done.stdout)
    assert (status, told) == (200, "")


_NO_NAMESPACE = 77
_ALONE = """
ip link set lo up && mount --bind "$1" /etc/resolv.conf || exit 77
shift
exec "$@"
"""


def alone(resolver: Path) -> list[str]:
    """Return the command that runs another one with a loopback and a resolver of its own."""
    return ["unshare", "--net", "--mount", "sh", "-c", _ALONE, "sh", str(resolver)]
