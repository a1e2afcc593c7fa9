"""What viewers see, by clients that are not ours."""

from __future__ import annotations

import itertools
import re
import statistics
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.clients import RawClient, ffmpeg_frames, ffprobe, read_frames, watching
from tests.outputs.rtsp.conftest import until
from tests.streams import read_number

if TYPE_CHECKING:
    from tests.clients import Frame
    from tests.outputs.rtsp.conftest import Rig, Serving
    from tests.streams import NumberedStream

PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])


def in_order(numbers: list[int]) -> bool:
    """Tell whether no picture is missing; a picture may be repeated for a new viewer."""
    return all(after - before in (0, 1) for before, after in itertools.pairwise(numbers))


@PROTOCOLS
def test_gstreamer_sees_every_picture_in_order(serving: Serving, protocol: str) -> None:
    """From its first picture on, a viewer misses none."""
    frames = read_frames(serving.url(), 60, protocols=protocol, decode=True)

    numbers = [read_number(frame.data) for frame in frames]
    assert in_order(numbers)
    assert len(set(numbers)) > 50


@PROTOCOLS
def test_ffmpeg_sees_every_picture_in_order(serving: Serving, protocol: str) -> None:
    """The same holds for a player that shares no code with the server."""
    numbers = [read_number(one) for one in ffmpeg_frames(serving.url(), 40, protocol=protocol)]

    assert len(numbers) == 40
    assert in_order(numbers)


@PROTOCOLS
def test_viewers_learn_the_capture_time(
    serving: Serving, stream: NumberedStream, protocol: str
) -> None:
    """RTCP tells when a picture was taken, to 2 ms, and not when it was sent."""
    with watching(serving.url(), protocols=protocol) as client:
        frames = client.wait_captured(20)

    assert max(capture_errors_ms(frames, stream)) < 2


def capture_errors_ms(frames: list[Frame], stream: NumberedStream) -> list[float]:
    """Compare what viewers learnt with when the pictures were taken."""
    taken = [unit.wall_ns for unit in stream.units]
    return [
        min(abs(wall_ns - (frame.capture_wall_ns or 0)) for wall_ns in taken) / 1e6
        for frame in frames
    ]


@PROTOCOLS
def test_little_time_passes_between_hub_and_viewer(
    serving: Serving, stream: NumberedStream, protocol: str
) -> None:
    """Nothing on the way waits for a clock: far less than one frame interval passes."""
    with watching(serving.url(), protocols=protocol) as client:
        frames = client.wait_captured(40)

    passed = []
    for frame in frames:
        wall_ns = frame.capture_wall_ns or 0
        unit = min(stream.published.values(), key=lambda one: abs(one.wall_ns - wall_ns))
        passed.append((frame.arrival_ns - stream.published_at_ns[unit.number]) / 1e6)
    assert max(capture_errors_ms(frames, stream)) < 2
    assert statistics.median(passed) < 15, f"median {statistics.median(passed):.1f} ms"


@pytest.mark.parametrize("fps", [3.0, 10.0])
def test_pictures_keep_their_own_spacing(rig: Rig, fps: float) -> None:
    """No frame rate is declared: pictures play at the times at which they were taken."""
    stream = rig.stream(fps)
    serving = rig.serve()

    frames = read_frames(serving.mount("/cam", stream.hub), 10)

    spacings = [(b.pts_ns - a.pts_ns) / 1e9 for a, b in itertools.pairwise(frames[2:])]
    assert statistics.median(spacings) == pytest.approx(1 / fps, abs=0.05)


def test_a_silent_application_still_has_a_picture(rig: Rig) -> None:
    """DESCRIBE and PLAY work while the application puts nothing at all."""
    stream = rig.stream(0)
    serving = rig.serve()
    url = serving.mount("/cam", stream.hub)

    for protocol in ("tcp", "udp"):
        assert len(read_frames(url, 2, protocols=protocol)) == 2


def test_every_newcomer_gets_a_key_frame_at_once(serving: Serving, stream: NumberedStream) -> None:
    """Who joins a running stream does not wait for a key frame by chance; none comes else."""
    with watching(serving.url(), decode=True) as first:
        first.wait(20)
        for protocol in ("tcp", "udp"):
            with watching(serving.url(), protocols=protocol, decode=True) as client:
                shown = read_number(client.wait(1)[0].data)
                # A picture of this moment, not one from the first viewer's time.
                assert shown >= stream.units[-1].number - 20
    assert 2 <= stream.hub.counters.key_frames_asked <= 6


def test_one_stream_feeds_many_viewers(serving: Serving, stream: NumberedStream) -> None:
    """Twelve viewers over TCP and UDP share one encoder and one place in the hub."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(watching(serving.url(), protocols=protocol))
            for protocol in ("tcp", "udp") * 6
        ]
        for client in clients:
            client.wait(20)
        assert serving.viewers() == 12
        assert stream.hub.subscriber_count == 1
    until(lambda: serving.viewers() == 0)


def test_two_streams_share_a_server(rig: Rig, serving: Serving) -> None:
    """Each path shows its own stream."""
    other = rig.stream(10)
    serving.mount("/other/one", other.hub)

    with watching(serving.url("/cam")) as first, watching(serving.url("/other/one")) as second:
        first.wait(10)
        second.wait(5)
        assert serving.viewers("/cam") == serving.viewers("/other/one") == 1
    assert status_of(serving.url("/nothing")) == 404


def status_of(url: str) -> int:
    """Ask for a description, and tell the answer's status."""
    with RawClient(url) as client:
        return client.describe().status


def test_two_servers_share_a_stream(rig: Rig, serving: Serving, stream: NumberedStream) -> None:
    """One encoder feeds several servers in one process."""
    other = rig.serve()
    url = other.mount("/cam", stream.hub)

    with (
        watching(serving.url(), protocols="udp") as first,
        watching(url, protocols="udp") as second,
    ):
        first.wait(20)
        second.wait(20)
        assert stream.hub.subscriber_count == 2


def test_the_description_is_right(serving: Serving, stream: NumberedStream) -> None:
    """The SDP carries profile, level and parameter sets of the stream, and no frame rate."""
    with RawClient(serving.url()) as client:
        sdp = client.describe().body.decode()

    found = re.search("profile-level-id=([0-9a-f]{6})", sdp)
    assert found is not None
    assert b"\x67" + bytes.fromhex(found.group(1)) in stream.units[0].data
    assert "m=video 0 RTP/AVP 96" in sdp
    assert "packetization-mode=1" in sdp
    assert "sprop-parameter-sets=" in sdp
    assert "framerate" not in sdp
    assert "multicast" not in sdp


def test_ffprobe_finds_the_true_rate(rig: Rig) -> None:
    """A stream of 10 pictures a second is not taken for one of 30."""
    stream = rig.stream(10)
    serving = rig.serve()

    found = ffprobe(serving.mount("/cam", stream.hub))

    assert (found["codec_name"], found["width"], found["height"]) == ("h264", "320", "240")
    up, down = found["avg_frame_rate"].split("/")
    assert int(up) / int(down) == pytest.approx(10, rel=0.25)


def test_pausing_stops_the_data_and_playing_goes_on(serving: Serving) -> None:
    """PAUSE stops counting as a viewer; PLAY shows the present, not the past."""
    with RawClient(serving.url()) as client:
        client.play()
        client.packet()
        assert client.ask("PAUSE").status == 200
        assert serving.viewers() == 0
        assert client.ask("PLAY").status == 200
        client.packet()
        assert serving.viewers() == 1


def test_a_pipeline_of_the_users_own_is_served(rig: Rig) -> None:
    """Launch text with a pay0 plays, is counted, and ends like any other."""
    serving = rig.serve()
    rig.loop.call(
        serving.server.mount_launch,
        "/test",
        "videotestsrc is-live=true ! x264enc tune=zerolatency key-int-max=10 ! "
        "rtph264pay name=pay0 pt=96",
    )

    with watching(serving.url("/test")) as client:
        client.wait(10)
        assert serving.viewers("/test") == 1
        serving.unmount("/test")
        client.wait_end()
    assert status_of(serving.url("/test")) == 404


def test_ipv6_is_served_alike(rig: Rig, stream: NumberedStream) -> None:
    """An IPv6 address plays over TCP and UDP, from that address."""
    serving = rig.serve(address="::1")
    url = serving.mount("/cam", stream.hub)

    for protocol in ("tcp", "udp"):
        assert len(read_frames(url, 10, protocols=protocol)) == 10
    assert len(ffmpeg_frames(url, 5)) == 5


def test_describing_does_not_wait_long_for_a_hub_that_gives_nothing(rig: Rig) -> None:
    """Without any picture the answer is a 503 within seconds, not after 20, and others go on."""
    from backpack._media.hub import Hub  # noqa: PLC0415

    serving = rig.serve()
    url = serving.mount("/dead", Hub())
    start = time.monotonic()

    with RawClient(url) as client:
        assert client.describe().status == 503

    assert time.monotonic() - start < 15
