"""Viewers that leave, vanish, stop reading, ask for nonsense, or never quite come."""

from __future__ import annotations

import base64
import itertools
import os
import random
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from backpack._media.hub import Hub
from backpack._outputs.rtsp.worker.clients import SESSION_TIMEOUT_SECONDS
from backpack._outputs.rtsp.worker.mount import FORGET_NS
from backpack._outputs.rtsp.worker.traffic import STALLED_NS
from tests.clients import RawClient, read_frames, watching
from tests.outputs.rtsp.conftest import open_things, until

if TYPE_CHECKING:
    from tests.outputs.rtsp.conftest import Rig, Serving
    from tests.streams import NumberedStream


def test_the_last_viewer_takes_the_reader_along(serving: Serving, stream: NumberedStream) -> None:
    """With the last viewer the reader leaves, and the stream is wanted for its linger only."""
    with watching(serving.url()) as first:
        first.wait(3)
        with watching(serving.url(), protocols="udp") as second:
            second.wait(3)
            assert serving.viewers() == 2
        until(lambda: serving.viewers() == 1)
        assert stream.hub.subscriber_count == 1

    until(lambda: stream.hub.subscriber_count == 0)
    until_ns = stream.hub.wanted_until(time.monotonic_ns())
    assert until_ns is not None
    assert not stream.hub.wanted(until_ns)


def test_a_client_that_hangs_up_without_a_word_is_gone_at_once(
    serving: Serving, stream: NumberedStream
) -> None:
    """A closed connection is a client that has left, at whatever point."""
    for steps in range(3):
        with RawClient(serving.url()) as client:
            client.describe()
            if steps >= 1:
                client.ask(
                    "SETUP",
                    serving.url() + "/stream=0",
                    Transport="RTP/AVP/TCP;unicast;interleaved=0-1",
                )
            if steps >= 2:
                client.ask("PLAY")
                client.packet()
        until(lambda: stream.hub.subscriber_count == 0)


def test_an_unwatched_server_never_wakes_up(serving: Serving) -> None:
    """The timer that looks after clients exists only while there are any."""
    monitor = serving.server._monitor
    assert monitor is not None
    assert monitor._timer == 0

    with watching(serving.url()) as client:
        client.wait(3)
        assert monitor._timer != 0

    until(lambda: monitor._timer == 0)
    assert monitor._connections == []


@pytest.mark.usefixtures("impatient")
def test_who_only_describes_keeps_the_stream_wanted_for_seconds_only(
    serving: Serving, stream: NumberedStream
) -> None:
    """After a while without PLAY nothing is encoded for a client; its PLAY still works."""
    with RawClient(serving.url()) as client:
        assert client.describe().status == 200
        assert stream.hub.subscriber_count == 1

        until(lambda: stream.hub.subscriber_count == 0, timeout=30)

        assert client.play().status == 200
        # What was kept meanwhile comes first, maybe before the stream is wanted again.
        client.packet()
        until(lambda: stream.hub.subscriber_count == 1)
        assert serving.viewers() == 1


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten what is waited for, so that a test does not take as long as a user would."""
    monkeypatch.setattr("backpack._outputs.rtsp.worker.traffic.STALLED_NS", 2_000_000_000)
    monkeypatch.setattr("backpack._outputs.rtsp.worker.mount.FORGET_NS", 2_000_000_000)
    monkeypatch.setattr("backpack._outputs.rtsp.worker.clients.SESSION_TIMEOUT_SECONDS", 3)


def test_the_announced_times_are_those_of_the_documentation() -> None:
    """Viewers are given the time that players expect, and no more than half a minute."""
    assert SESSION_TIMEOUT_SECONDS == 25
    assert FORGET_NS == 10_000_000_000
    assert STALLED_NS == 5_000_000_000


@pytest.mark.usefixtures("impatient")
def test_a_viewer_that_stops_reading_is_closed_and_holds_nobody_up(rig: Rig) -> None:
    """While one TCP viewer reads nothing, a UDP viewer misses nothing; the first is closed."""
    # 6 Mbit/s, so that the stalled one's socket is full in no time.
    stream = rig.stream(padding_bytes=25_000)
    serving = rig.serve()
    url = serving.mount("/cam", stream.hub)

    with watching(url, protocols="udp") as healthy:
        healthy.wait(5)
        with RawClient(url, receive_buffer=4096) as stalled:
            stalled.play()
            until(lambda: serving.viewers() == 2)
            seen = len(healthy.frames)

            until(lambda: serving.viewers() == 1, timeout=60)
            healthy.wait_more(10)

    frames = healthy.frames[seen:]
    assert max(b.arrival_ns - a.arrival_ns for a, b in itertools.pairwise(frames)) < 1_000_000_000


@pytest.mark.usefixtures("impatient")
def test_a_viewer_that_stops_reading_alone_is_closed_too(
    serving: Serving, stream: NumberedStream
) -> None:
    """Without any other viewer the stream is not wanted for the sake of one that stalls."""
    with RawClient(serving.url(), receive_buffer=4096) as stalled:
        stalled.play()
        until(lambda: serving.viewers() == 1)

        until(lambda: stream.hub.subscriber_count == 0, timeout=60)
        assert serving.viewers() == 0


@pytest.mark.usefixtures("impatient")
def test_a_udp_viewer_that_vanishes_is_forgotten(serving: Serving, stream: NumberedStream) -> None:
    """Without TEARDOWN, RTCP and requests its session ends after the announced time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        with RawClient(serving.url()) as client:
            reply = client.play(f"RTP/AVP;unicast;client_port={port}-{port + 1}")
            assert "timeout=3" in reply.headers["session"]
            udp.settimeout(10)
            assert udp.recv(2000)
            assert serving.viewers() == 1

            until(lambda: stream.hub.subscriber_count == 0, timeout=60)
            client.wait_closed()


def test_malformed_requests_leave_the_others_their_picture(serving: Serving) -> None:
    """Three hundred mangled conversations later a viewer has missed nothing."""
    dice = random.Random(20)
    good = (
        f"DESCRIBE {serving.url()} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n"
        f"SETUP {serving.url()}/stream=0 RTSP/1.0\r\nCSeq: 2\r\n"
        "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        f"PLAY {serving.url()} RTSP/1.0\r\nCSeq: 3\r\nRange: npt=0-\r\n\r\n"
    ).encode()
    special = [
        b"",
        b"\r\n" * 100,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.0\r\nx-sessioncookie: a\r\nAccept: application/x-rtsp-tunnelled\r\n\r\n",
        b"$\x00\xff\xff" + bytes(200),
        b"DESCRIBE * RTSP/9.9\r\nCSeq: x\r\n\r\n",
        b"SETUP rtsp:// RTSP/1.0\r\nCSeq: -1\r\nTransport: ;;;\r\n\r\n",
        b"PLAY rtsp://h/../../etc RTSP/1.0\r\nSession: %s%n\r\nCSeq: 9\r\n\r\n",
        b"SET_PARAMETER * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n",
        b"ANNOUNCE rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 3\r\n\r\nv=0",
    ]

    with watching(serving.url(), decode=True) as client:
        client.wait(5)
        for round_ in range(300):
            if round_ < len(special):
                data = special[round_]
            else:
                mangled = bytearray(good)
                for _ in range(dice.randint(1, 12)):
                    mangled[dice.randrange(len(mangled))] = dice.randrange(256)
                data = bytes(mangled[: dice.randrange(1, len(mangled))])
            with socket.create_connection(("127.0.0.1", serving.port), 10) as one:
                one.sendall(data)
                if round_ % 10 == 0:
                    one.settimeout(0.05)
                    with suppress(OSError):
                        one.recv(1000)
        client.wait_more(30)

    assert len(read_frames(serving.url(), 5)) == 5
    until(lambda: serving.viewers() == 0)


def test_all_viewers_of_a_path_share_one_media(serving: Serving, stream: NumberedStream) -> None:
    """Another port in the URL, as behind a port forwarding, does not make a second pipeline."""
    with watching(serving.url()) as client, RawClient(serving.url()) as forwarded:
        client.wait(3)
        forwarded.url = forwarded.url.replace(f":{serving.port}/", ":18554/")

        assert forwarded.play().status == 200
        forwarded.packet()

        assert serving.viewers() == 2
        assert stream.hub.subscriber_count == 1


def memory_mb() -> int:
    """Tell how much memory this process has now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") // 1_000_000


def send_until_refused(port: int, head: bytes, chunk: bytes, megabytes: int) -> None:
    """Send a request that does not end."""
    with socket.create_connection(("127.0.0.1", port), 10) as one:
        one.settimeout(10)
        try:
            one.sendall(head)
            for _ in range(megabytes * 1_000_000 // len(chunk)):
                one.sendall(chunk)
        except OSError:
            # Hung up on, or not read from any more: both are an answer.
            return


def test_endless_requests_do_not_grow_memory(serving: Serving) -> None:
    """A body, a line and headers without an end are refused before they fill the memory."""
    read_frames(serving.url(), 3)
    start = b"SET_PARAMETER " + serving.url().encode() + b" RTSP/1.0\r\nCSeq: 1\r\n"
    before = memory_mb()

    send_until_refused(
        serving.port, start + b"Content-Length: 2000000000\r\n\r\n", bytes(100_000), 30
    )
    send_until_refused(serving.port, start, b"x" * 100_000, 30)
    send_until_refused(serving.port, start, b"X-A: b\r\n" * 10_000, 30)

    assert memory_mb() - before < 40
    assert len(read_frames(serving.url(), 3)) == 3


def test_a_tunnel_without_an_end_does_not_grow_memory(
    rig: Rig, stream: NumberedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Requests that come in by a POST of their own are counted, and both connections cut.

    Between two sweeps: in a second the server would read several megabytes.
    """
    monkeypatch.setattr("backpack._outputs.rtsp.worker.clients.SWEEP_MS", 3_600_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    read_frames(serving.url(), 3)
    cookie = b"x-sessioncookie: endless\r\nPragma: no-cache\r\n"
    get = b"GET /cam HTTP/1.0\r\n" + cookie + b"Accept: application/x-rtsp-tunnelled\r\n\r\n"
    post = (
        b"POST /cam HTTP/1.0\r\n"
        + cookie
        + (b"Content-Type: application/x-rtsp-tunnelled\r\nContent-Length: 2000000000\r\n\r\n")
    )
    request = b"SET_PARAMETER " + serving.url().encode() + b" RTSP/1.0\r\nCSeq: 1\r\n"
    before = memory_mb()
    with socket.create_connection(("127.0.0.1", serving.port), 10) as answers:
        answers.sendall(get)
        assert answers.recv(1000).startswith(b"HTTP/1.0 200")
        send_until_refused(
            serving.port,
            post + base64.b64encode(request + b"X" * (-len(request) % 3)),
            base64.b64encode(b"X-A: b\r\n" * 3_000),
            150,
        )
        answers.settimeout(10)
        assert not answers.recv(1000)

    assert memory_mb() - before < 40
    assert len(read_frames(serving.url(), 3)) == 3


def test_two_hundred_clients_come_and_go(serving: Serving, stream: NumberedStream) -> None:
    """However they leave, descriptors, threads and memory are what they were."""

    def visit(number: int) -> None:
        with RawClient(serving.url()) as client:
            assert client.describe().status == 200
            if number % 3:
                client.ask(
                    "SETUP",
                    serving.url() + "/stream=0",
                    Transport="RTP/AVP/TCP;unicast;interleaved=0-1",
                )
                client.ask("PLAY")
                client.packet()
            if number % 3 == 1:
                client.ask("TEARDOWN")

    with watching(serving.url()) as steady:
        steady.wait(3)
        for number in range(30):
            visit(number)
        until(lambda: serving.viewers() == 1)
        descriptors, threads = open_things()
        memory = memory_mb()
        for number in range(200):
            visit(number)

        until(lambda: open_things()[0] <= descriptors + 2 and open_things()[1] <= threads + 2)
        assert memory_mb() - memory < 12
        until(lambda: serving.viewers() == 1)
        steady.wait_more(10)
    until(lambda: stream.hub.subscriber_count == 0)


def test_clients_that_come_and_go_together(serving: Serving, stream: NumberedStream) -> None:
    """Twenty clients that join and leave at the same time all get their picture."""
    failed: list[BaseException] = []

    def visit() -> None:
        try:
            for protocol in ("tcp", "udp"):
                read_frames(serving.url(), 3, protocols=protocol)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    with watching(serving.url()) as steady:
        steady.wait(3)
        threads = [threading.Thread(target=visit) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        steady.wait_more(5)

    assert failed == []
    until(lambda: stream.hub.subscriber_count == 0)


def test_a_viewer_who_comes_as_the_last_one_leaves_is_served(serving: Serving) -> None:
    """Leaving and coming at the same moment never ends in a refusal."""
    for _ in range(12):
        with ExitStack() as stack:
            client = stack.enter_context(RawClient(serving.url()))
            client.play()
            client.packet()


def test_unmounting_answers_who_is_just_asking(rig: Rig) -> None:
    """A client in the middle of DESCRIBE gets an answer when the path goes, whatever serves it."""
    serving = rig.serve()
    serving.mount("/dead", Hub())
    rig.loop.call(
        serving.server.mount_launch,
        "/mute",
        "appsrc is-live=true caps=video/x-h264,stream-format=avc,alignment=au "
        "! rtph264pay name=pay0 pt=96",
    )

    for path in ("/dead", "/mute"):
        with RawClient(serving.url(path)) as client:
            client.send("DESCRIBE", Accept="application/sdp")
            mount = serving.server._mounts[path]
            until(mount._preparing.__len__)
            start = time.monotonic()

            serving.unmount(path)

            assert client.reply().status in (404, 503)
            assert time.monotonic() - start < 4


def test_a_pipeline_that_was_only_described_does_not_hold_up_its_end(rig: Rig) -> None:
    """A media that nobody has played yet is blocked, and ends all the same."""
    serving = rig.serve()
    serving.loop.call(
        serving.server.mount_launch,
        "/test",
        "videotestsrc is-live=true ! x264enc tune=zerolatency ! rtph264pay name=pay0 pt=96",
    )
    with RawClient(serving.url("/test")) as client:
        assert client.describe().status == 200

        serving.loop.call(serving.server.unmount, "/test", timeout=10)

    with RawClient(serving.url("/test")) as client:
        assert client.describe().status == 404


def test_two_hubs_of_one_server_do_not_wait_for_each_other(rig: Rig, serving: Serving) -> None:
    """A stalled viewer of one path leaves the viewers of another path alone."""
    other = rig.stream()
    url = serving.mount("/other", other.hub)

    with RawClient(serving.url(), receive_buffer=4096) as stalled, watching(url) as healthy:
        stalled.play()
        healthy.wait(60)


@pytest.mark.parametrize("goodbye", [True, False])
def test_who_comes_right_after_a_viewer_gets_its_udp_ports(
    rig: Rig, stream: NumberedStream, *, goodbye: bool
) -> None:
    """With one pair of ports, viewers over UDP may follow each other without a pause."""
    serving = rig.serve(rtp_ports=(21040, 21041))
    serving.mount("/cam", stream.hub)
    with ExitStack() as before:
        for _ in range(5):
            client = RawClient(serving.url())
            reply = client.play("RTP/AVP;unicast;client_port=21050-21051")
            assert reply.status == 200, reply
            before.close()
            if goodbye:
                client.ask("TEARDOWN")
                before.callback(client.close)
            else:
                client.close()
                until(lambda: not serving.viewers())


def test_who_has_left_is_forgotten_between_two_sweeps(
    rig: Rig, stream: NumberedStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The server's thread frees a client, and with the last one the media.

    Freed by a sweep, on another thread, a media is just being taken down when the
    next client asks for it, who then gets a 503.
    """
    monkeypatch.setattr("backpack._outputs.rtsp.worker.clients.SWEEP_MS", 3_600_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    with RawClient(serving.url()) as client:
        assert client.describe().status == 200
        assert stream.hub.subscriber_count == 1
    until(lambda: stream.hub.subscriber_count == 0)


def test_nobody_is_refused_while_others_leave(serving: Serving) -> None:
    """Whoever asks while the last viewer's media is taken down gets another media, and no 503."""
    answers: list[int] = []

    def visit() -> None:
        for _ in range(25):
            with RawClient(serving.url()) as client:
                answers.append(client.describe().status)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 100
