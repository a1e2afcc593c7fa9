"""A client that misbehaves harms itself alone: others keep their picture."""

from __future__ import annotations

import itertools
import random
import socket
import struct
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.clients import RawClient
from tests.end_to_end.viewers import Ffmpeg
from tests.numbered import numbered
from tests.waiting import wait_for

if TYPE_CHECKING:
    from backpack.spyglass import SpyGlass
    from tests.clients import RtspClient
    from tests.end_to_end.conftest import Stage

LONGEST_GAP_SECONDS = 3.0
"""Between two pictures of somebody who does nothing wrong, on a machine that is busy."""


class Noise:
    """Frames that make a stream of many bits, so that buffers fill."""

    def __init__(self, stage: Stage) -> None:
        self.spyglass: SpyGlass = stage.spyglass(bitrate_kbps=8000)
        self.show = stage.show(self.spyglass, self.frame(0))
        self.url = self.spyglass.urls()[0]

    @staticmethod
    def frame(seed: int) -> Any:
        """Make one that nothing before it helps to encode."""
        return numbered(seed + 1, 640, 480, grain=160)


def watch_for(seconds: float, *viewers: RtspClient, noise: Noise | None = None) -> float:
    """Let viewers watch for a while, and give the longest time that any had no picture."""
    begun = [len(viewer.frames) for viewer in viewers]
    begun_ns = time.monotonic_ns()
    number = 0
    while time.monotonic_ns() < begun_ns + seconds * 1e9:
        number += 1
        if noise is not None:
            noise.show.frame = noise.frame(number)
        time.sleep(0.03)
    longest = 0.0
    for viewer, start in zip(viewers, begun, strict=True):
        times = [begun_ns, *(one.arrival_ns for one in viewer.frames[start:]), time.monotonic_ns()]
        longest = max(longest, *((b - a) / 1e9 for a, b in itertools.pairwise(times)))
        assert viewer.error is None
    return longest


def test_a_client_that_stops_reading_is_let_go(stage: Stage) -> None:
    """It is closed within seconds; viewers over TCP and UDP have their picture all the time."""
    noise = Noise(stage)
    viewers = [stage.viewer(noise.url, protocols=one) for one in ("tcp", "udp")]
    for viewer in viewers:
        viewer.wait(5)
    with RawClient(noise.url, receive_buffer=4096) as sleeper:
        sleeper.play()
        wait_for(lambda: noise.spyglass.stats().viewers == 3)

        gap = watch_for(10, *viewers, noise=noise)

        print(f"longest time without a picture: {gap:.2f} s")  # noqa: T201
        assert gap < LONGEST_GAP_SECONDS
        wait_for(lambda: noise.spyglass.stats().viewers == 2)


def test_a_client_that_vanishes_is_forgotten(stage: Stage) -> None:
    """Whoever hangs up without a word, or with a reset, is not counted any more."""
    spyglass = stage.spyglass()
    stage.putter(spyglass, fps=20)
    url = spyglass.urls()[0]
    viewer = stage.viewer(url)
    viewer.wait(5)
    for reset in (False, True):
        client = RawClient(url)
        client.play()
        client.packet()
        wait_for(lambda: spyglass.stats().viewers == 2)
        if reset:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        wait_for(lambda: spyglass.stats().viewers == 1)

    assert watch_for(1, viewer) < LONGEST_GAP_SECONDS


def nonsense() -> list[bytes]:
    """Give what must not be sent to an RTSP port."""
    source = random.Random(7)
    hello = b"DESCRIBE rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n"
    setup = b"SETUP rtsp://127.0.0.1/cam/stream=0 RTSP/1.0\r\nCSeq: 1\r\n"
    return [
        b"",
        b"\r\n\r\n",
        b"\0" * 4096,
        source.randbytes(65536),
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + source.randbytes(512),
        b"DESCRIBE rtsp://127.0.0.1/cam RTSP/9.9\r\nCSeq: 1\r\n\r\n",
        b"DESCRIBE\r\nCSeq: 1\r\n\r\n",
        b"FROBNICATE rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        hello + b"CSeq: 99999999999999999999\r\n\r\n",
        hello + b"Content-Length: 99999999999\r\n\r\n",
        hello + b"Content-Length: -1\r\n\r\n",
        hello + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\n",
        b"DESCRIBE rtsp://127.0.0.1/" + b"a" * 100_000 + b" RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        setup + b"Transport: RTP/AVP\xff\r\n\r\n",
        setup + b"Transport: RTP/AVP;unicast;client_port=1-0\r\n\r\n",
        b"PLAY rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\nSession: none\r\n\r\n",
        b"$\0\xff\xff" + source.randbytes(100),
        b"$" * 1000,
        (b"OPTIONS rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n") * 2000,
        hello,
    ]


def test_nonsense_thrown_at_the_port_disturbs_nobody(stage: Stage) -> None:
    """Malformed requests, floods and other protocols: viewers go on, newcomers are served."""
    app = stage.app(20)
    pid = app.numbers()["streamer_pid"]
    parts = urlsplit(app.url)
    viewer = stage.viewer(app.url)
    viewer.wait(5)
    kept = []

    for data in nonsense():
        for leaves in (True, False):
            thrower = socket.create_connection((parts.hostname, parts.port), 10)
            thrower.settimeout(0.05)
            try:
                thrower.sendall(data)
                thrower.recv(65536)
            except OSError:
                pass
            if leaves:
                thrower.close()
            else:
                kept.append(thrower)
    gap = watch_for(2, viewer)
    newcomer = stage.viewer(app.url)

    assert gap < LONGEST_GAP_SECONDS
    assert len(newcomer.wait(5)) >= 5
    for thrower in kept:
        thrower.close()
    numbers = app.numbers()
    assert numbers["streamer_pid"] == pid
    assert numbers["failures"] == []


@pytest.mark.parametrize("after", ["DESCRIBE", "SETUP"])
def test_a_client_that_gives_up_half_way_blocks_nobody(stage: Stage, after: str) -> None:
    """Who connects, asks and stays silent holds no place that another viewer needs."""
    spyglass = stage.spyglass()
    stage.putter(spyglass, fps=20)
    url = spyglass.urls()[0]
    with RawClient(url) as half:
        assert half.describe().status == 200
        if after == "SETUP":
            transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
            assert half.ask("SETUP", f"{url}/stream=0", Transport=transport).status == 200
        viewer = stage.viewer(url)
        viewer.wait(5)
        with Ffmpeg(url) as other:
            other.wait(3)

        assert watch_for(1, viewer) < LONGEST_GAP_SECONDS
