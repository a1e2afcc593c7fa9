"""Viewers come when they like: before the first frame, in a pause, after the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backpack.rtsp import RTSPServer, RTSPSpyGlass
from tests.clients import RawClient
from tests.end_to_end.viewers import Ffmpeg
from tests.numbered import read
from tests.waiting import stays_true, wait_for

if TYPE_CHECKING:
    from tests.clients import RtspClient
    from tests.end_to_end.conftest import Stage

SOON_SECONDS = 5.0
"""A picture comes within half a second; this is for machines that are busy with other things."""


def first_picture(stage: Stage, url: str, **options: object) -> tuple[float, RtspClient]:
    """Connect and tell how long the first decoded picture took."""
    begun = time.monotonic_ns()
    viewer = stage.viewer(url, **options)
    return (viewer.wait(1)[0].arrival_ns - begun) / 1e9, viewer


def numbers(viewer: RtspClient) -> list[int | None]:
    """Read all that a viewer has seen."""
    return [read(one.data) for one in list(viewer.frames)]


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_card_is_shown_before_the_first_frame(stage: Stage, protocol: str) -> None:
    """Who comes first sees a card at once, and then the first frame, on the same connection."""
    spyglass = stage.spyglass(width=320, height=240)
    took, viewer = first_picture(stage, spyglass.urls()[0], protocols=protocol)
    card = np.frombuffer(viewer.frames[0].data, np.uint8)

    putter = stage.putter(spyglass, fps=10)

    print(f"card after {took:.2f} s over {protocol}")  # noqa: T201
    assert took < SOON_SECONDS
    assert read(viewer.frames[0].data) is None
    assert card.std() > 2, "an empty picture says nothing"
    wait_for(lambda: 3 <= (numbers(viewer)[-1] or 0) <= putter.last)
    assert spyglass.stats().accepted <= putter.last


def test_the_first_picture_comes_soon_whatever_the_application_does(stage: Stage) -> None:
    """At 30 frames a second, at one in five seconds, and in a pause."""
    spyglass = stage.spyglass()
    # With the grain of a camera: rtspsrc believes in a source from its second packet
    # on, and a plain picture fits into one.
    putter = stage.putter(spyglass, grain=80)
    putter.put()
    for what, fps in (("silent", 0.0), ("0.2 fps", 0.2), ("30 fps", 30.0)):
        if fps:
            putter.start(fps)
        for kind, keeps in (("alone", False), ("beside another", True)):
            other = stage.viewer(spyglass.urls()[0]) if keeps else None
            times = []
            for protocol in ("tcp", "udp"):
                # Key frames are made at most twice a second.
                time.sleep(0.6)
                took, viewer = first_picture(stage, spyglass.urls()[0], protocols=protocol)
                times.append(took)
                assert read(viewer.frames[0].data), "a put frame, no card"
                viewer.close_now()
            if other is not None:
                other.close_now()
            print(f"first picture, {what}, {kind}: {max(times):.2f} s")  # noqa: T201
            assert max(times) < SOON_SECONDS
        putter.stop()


@pytest.mark.parametrize("seconds", [4, pytest.param(61, marks=pytest.mark.slow)])
def test_viewers_who_come_in_a_pause_see_the_last_frame(stage: Stage, seconds: float) -> None:
    """However long ago it was put, the last frame is there for newcomers."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass)
    # Unwatched, one frame a second is kept.
    assert putter.put()
    time.sleep(seconds)

    took, viewer = first_picture(stage, spyglass.urls()[0])

    assert took < SOON_SECONDS
    assert set(numbers(viewer)) == {1}
    stats = spyglass.stats()
    assert stats.put == stats.accepted == 1


def test_a_frame_in_five_seconds_is_repeated_in_between(stage: Stage) -> None:
    """At 0.2 fps viewers have a picture about once a second; repeats are no put frames."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass, fps=0.2)
    wait_for(lambda: putter.last)
    viewer = stage.viewer(spyglass.urls()[0])
    viewer.wait(2)
    # Whatever newcomers are given at first is over.
    time.sleep(2)
    before = len(viewer.frames)

    time.sleep(6)

    seen = viewer.frames[before:]
    assert 4 <= len(seen) <= 10
    shown = [read(one.data) or 0 for one in seen]
    assert shown == sorted(shown)
    assert len(set(shown)) >= 2, "a put frame is among them"
    wait_for(lambda: spyglass.stats().repeated >= 4)
    stats = spyglass.stats()
    assert stats.put == putter.last
    assert stats.encoded <= putter.last


def test_a_stopped_stream_is_not_found_and_its_viewers_are_told(stage: Stage) -> None:
    """After stop_streaming() the server says 404 at once; ffmpeg and rtspsrc end by themselves."""
    server = RTSPServer(0)
    server.start()
    stage.finally_do(server.stop)
    spyglass = RTSPSpyGlass(server, "/cam", required=True)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    putter = stage.putter(spyglass, fps=20)
    url = spyglass.urls()[0]
    viewer = stage.viewer(url)
    watchers = [Ffmpeg(url, protocol) for protocol in ("tcp", "udp")]
    for watcher in watchers:
        stage.finally_do(watcher.close)
        watcher.wait(3)
    viewer.wait(3)

    begun = time.monotonic()
    spyglass.stop_streaming()
    took = time.monotonic() - begun
    with RawClient(url) as late:
        assert late.describe().status == 404
    assert viewer.wait_end()
    for watcher in watchers:
        watcher.wait_end()

    print(f"stop took {took:.2f} s, viewers ended after {time.monotonic() - begun:.2f} s")  # noqa: T201
    assert took < SOON_SECONDS
    assert putter.failures == []
    assert not putter.put()
    spyglass.start_streaming()
    assert stage.viewer(url).wait(2)


def test_a_stop_delivers_what_was_put_before(stage: Stage) -> None:
    """The last frame that was taken before stop_streaming() is seen."""
    server = RTSPServer(0)
    server.start()
    stage.finally_do(server.stop)
    spyglass = RTSPSpyGlass(server, "/cam", required=True)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    putter = stage.putter(spyglass)
    putter.put()
    viewer = stage.viewer(spyglass.urls()[0])
    viewer.wait(1)
    putter.run(10, 0.5)
    wait_for(lambda: (numbers(viewer)[-1] or 0) > 1)

    time.sleep(0.3)
    assert putter.put()
    spyglass.stop_streaming()

    viewer.wait_end()
    assert numbers(viewer)[-1] == putter.last


def test_one_encode_serves_any_number_of_viewers(stage: Stage) -> None:
    """Five viewers over both protocols, on two servers, cost no more pictures than one."""
    other = RTSPServer(0)
    other.start()
    stage.finally_do(other.stop)
    spyglass = stage.spyglass("rtsp://127.0.0.1:0/cam", "rtsp://127.0.0.1:0/too")
    putter = stage.putter(spyglass)
    putter.put()
    urls = spyglass.urls()
    assert len(set(urls)) == 2
    viewers = [stage.viewer(urls[0])]
    viewers[0].wait(1)
    for count in (1, 5):
        while len(viewers) < count:
            protocol = "udp" if len(viewers) % 2 else "tcp"
            viewers.append(stage.viewer(urls[len(viewers) % 2], protocols=protocol))
            viewers[-1].wait(1)
        wait_for(lambda count=count: spyglass.stats().viewers == count)
        before = spyglass.stats()
        putter.run(20, 2)
        last = max(number for number, one in putter.puts.items() if one.taken)
        for viewer in viewers:
            wait_for(lambda viewer=viewer, last=last: last in numbers(viewer)[-20:])
        taken = spyglass.stats().accepted - before.accepted
        # Numbers are told once a second.
        wait_for(
            lambda before=before, taken=taken: (
                sum_of_fates(spyglass) - sum_of_fates_of(before) >= taken
            )
        )
        encoded = spyglass.stats().encoded - before.encoded
        print(f"{count} viewers: {taken} taken, {encoded} encoded")  # noqa: T201
        assert encoded <= taken


def sum_of_fates_of(stats: object) -> int:
    """Add up what can become of a frame that was taken."""
    return sum(getattr(stats, name) for name in ("encoded", "replaced", "torn"))


def sum_of_fates(spyglass: object) -> int:
    """Add up what has become of all frames until now."""
    return sum_of_fates_of(spyglass.stats())  # type: ignore[attr-defined]


def test_nothing_is_encoded_while_nobody_watches(stage: Stage) -> None:
    """Unwatched there is no encoder, and no more than a frame a second is copied."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass)

    begun = time.monotonic()
    putter.run(30, 3)
    seconds = time.monotonic() - begun

    stats = spyglass.stats()
    assert stats.encoded == stats.repeated == 0
    assert stats.encoder is None
    assert stats.accepted <= seconds + 2
    assert stats.not_wanted == stats.put - stats.accepted


@pytest.mark.parametrize("linger_seconds", [0.5, 2.0])
def test_encoding_lingers_after_the_last_viewer(stage: Stage, linger_seconds: float) -> None:
    """It goes on for so long, for whoever comes right back, and then stops."""
    spyglass = stage.spyglass(linger_seconds=linger_seconds)
    putter = stage.putter(spyglass, fps=20)
    viewer = stage.viewer(spyglass.urls()[0])
    viewer.wait(10)
    wait_for(lambda: spyglass.stats().viewers == 1)

    begun = time.monotonic()
    viewer.close_now()
    wait_for(lambda: spyglass.stats().encoder is None)
    took = time.monotonic() - begun

    print(f"stopped {took:.2f} s after the last viewer, linger {linger_seconds} s")  # noqa: T201
    assert linger_seconds * 0.9 < took < linger_seconds + 10
    encoded = spyglass.stats().encoded
    assert stays_true(lambda: spyglass.stats().encoded == encoded, 1.5)
    assert putter.failures == []


def test_whoever_comes_back_within_the_linger_meets_a_running_encoder(stage: Stage) -> None:
    """The encoder is not made anew for a viewer that reconnects."""
    spyglass = stage.spyglass(linger_seconds=30)
    stage.putter(spyglass, fps=20)
    viewer = stage.viewer(spyglass.urls()[0])
    viewer.wait(5)
    viewer.close_now()
    wait_for(lambda: spyglass.stats().viewers == 0)

    assert stays_true(lambda: spyglass.stats().encoder is not None, 1)
    assert stage.viewer(spyglass.urls()[0]).wait(5)
