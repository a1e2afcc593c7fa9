from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.outputs.web.screen import (
    hurry,
    moves,
    number_on,
    numbers_on,
    state_of,
    until,
    wait_picture,
    wait_state,
)
from tests.outputs.web.worker.webrtc.relay import UdpRelay
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.outputs.web.relay import Relay
    from tests.outputs.web.rig import Rig, Serving
    from tests.streams import NumberedStream

pytest.importorskip(
    "backpack._gst.webrtc", reason="GStreamer's WebRTC is missing", exc_type=ImportError
)

WEBRTC = '#stage[data-transport="webrtc"]'


@pytest.fixture
def udp_relay() -> Iterator[UdpRelay]:
    """Give a relay between the page's video and the server."""
    made = UdpRelay()
    yield made
    made.close()


def page_through(relay: UdpRelay, open_page: Callable[..., Any]) -> Any:
    """Give a page whose video goes through a relay."""

    def answer(route: Any) -> None:
        response = route.fetch()
        text = relay.through(response.text()) if response.status == 201 else response.text()
        route.fulfill(response=response, body=text)

    page = open_page()
    page.route("**/whep", answer)
    return page


def transport_of(page: Any) -> str:
    """Tell how the pictures come."""
    return page.get_attribute("#stage", "data-transport") or "ws"


def open_webrtc(open_page: Callable[..., Any], serving: Serving, **options: Any) -> Any:
    """Open the page and wait until its pictures come over WebRTC."""
    page = open_page(serving.url("/cam", query="&transport=webrtc", **options))
    page.wait_for_selector(WEBRTC)
    return page


@pytest.mark.parametrize("host", ["127.0.0.1", "spy.test"])
def test_the_page_shows_webrtc(
    rig: Rig, stream: NumberedStream, open_page: Callable[..., Any], host: str
) -> None:
    """The numbers on the screen are those of present frames; the WebSocket rests meanwhile."""
    serving = rig.serve(allowed_hosts=("spy.test",))
    serving.mount("/cam", stream.hub)
    page = open_webrtc(open_page, serving, host=host)
    numbers = numbers_on(page, stream)

    assert numbers == sorted(numbers)
    latency = wait_for(lambda: re.fullmatch(r"(\d+) ms", page.inner_text("#latency")))
    assert int(latency[1]) < 5000
    until(page, lambda: page.inner_text("#fps").endswith(" fps"))
    assert page.evaluate("document.querySelectorAll('.picture:not([hidden])').length") == 1
    until(page, lambda: serving.viewers() == 1)


def test_webrtc_comes_with_a_password_in_the_address(
    rig: Rig, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """An offer is made, too, where the page's own address may not be fetched."""
    serving = rig.serve(users={"anna": "pw"})
    serving.mount("/cam", stream.hub)
    page = open_page(f"http://anna:pw@127.0.0.1:{serving.port}/cam?transport=webrtc")
    page.wait_for_selector(WEBRTC)

    assert moves(page)


def test_the_first_picture_does_not_wait_for_webrtc(
    rig: Rig, stream: NumberedStream, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is not to be had the WebSocket goes on as if nothing had been asked."""
    from backpack._outputs.web.worker.whep import Whep  # noqa: PLC0415

    def missing(_: Any) -> Any:
        from backpack.errors import MissingDependencyError  # noqa: PLC0415

        raise MissingDependencyError("sudo apt install gstreamer1.0-nice")

    monkeypatch.setattr(Whep, "_all_peers", missing)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    page = open_page()
    with page.expect_response("**/whep") as asked:
        page.goto(serving.url("/cam", query="&transport=webrtc"))
        wait_picture(page)
    assert asked.value.status == 501
    assert "gstreamer1.0-nice" in asked.value.text()
    assert moves(page)
    assert page.get_attribute("#stage", "data-transport") != "webrtc"


def test_the_transport_is_chosen_in_the_page(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """To WebRTC and back, without a gap in what is seen."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    page.click("#webrtc")
    page.wait_for_selector(WEBRTC)
    assert page.get_attribute("#webrtc", "aria-pressed") == "true"
    assert moves(page)
    page.click("#webrtc")
    page.wait_for_selector('#stage[data-transport="ws"]')
    assert moves(page)
    until(page, lambda: serving.viewers() == 1)


def test_pausing_ends_the_session(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """The picture stays; playing again goes on."""
    page = open_webrtc(open_page, serving)
    page.click("#pause")
    wait_state(page, "paused")
    wait_for(lambda: not stream.hub.subscriber_count)
    held = number_on(page)
    assert held > 0
    page.click("#pause")
    until(page, lambda: number_on(page) > held)
    wait_state(page, "live")


def test_the_page_comes_back_when_the_stream_does(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """It says that the stream has ended, and goes on by itself."""
    page = open_webrtc(open_page, serving)
    serving.unmount("/cam")
    wait_state(page, "ended")
    serving.mount("/cam", stream.hub)
    wait_state(page, "live")
    assert moves(page)


def test_who_leaves_the_page_is_gone(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """At once, and not when silence is noticed."""
    page = open_webrtc(open_page, serving)
    wait_for(lambda: stream.hub.subscriber_count == 2)
    page.close()
    wait_for(lambda: not stream.hub.subscriber_count, 10)


def test_a_picture_comes_back_after_heavy_loss(
    rig: Rig, open_page: Callable[..., Any], udp_relay: UdpRelay
) -> None:
    """All is lost for a moment, and half of it for another: then it goes on where it is."""
    stream = rig.stream(padding_bytes=12_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    page = page_through(udp_relay, open_page)
    page.goto(serving.url("/cam", query="&transport=webrtc"))
    page.wait_for_selector(WEBRTC)
    for loss in (1.0, 0.5):
        udp_relay.loss = loss
        page.wait_for_timeout(1000)
        udp_relay.loss = 0.0
        newest = max(stream.published)
        took = until(page, lambda newest=newest: number_on(page) >= newest)
        assert took < 5
        assert transport_of(page) == "webrtc"


def test_where_ice_does_not_connect_nothing_is_worse(
    serving: Serving, open_page: Callable[..., Any], udp_relay: UdpRelay
) -> None:
    """The WebSocket's pictures go on, from the first one to the last."""
    udp_relay.is_cut = True
    page = page_through(udp_relay, open_page)
    with page.expect_request(lambda asked: asked.method == "DELETE"):
        page.goto(serving.url("/cam", query="&transport=webrtc"))
        wait_picture(page)
        for _ in range(10):
            assert moves(page)
    assert transport_of(page) == "ws"
    assert moves(page)


def test_when_the_video_stops_the_websocket_goes_on(
    serving: Serving, open_page: Callable[..., Any], udp_relay: UdpRelay
) -> None:
    """After some seconds, by itself."""
    page = page_through(udp_relay, open_page)
    page.goto(serving.url("/cam", query="&transport=webrtc"))
    page.wait_for_selector(WEBRTC)
    udp_relay.is_cut = True
    assert until(page, lambda: transport_of(page) == "ws") < 10
    assert moves(page)


def test_who_falls_behind_is_helped_by_webrtc(
    rig: Rig, open_page: Callable[..., Any], relay_to: Callable[[int], Relay]
) -> None:
    """Nobody asked for it: the tunnel is too narrow for the pictures, and the network is not."""
    stream = rig.stream(padding_bytes=10_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    tunnel = relay_to(serving.port)
    page = open_page(serving.url("/cam", port=tunnel.port))
    wait_picture(page)
    assert transport_of(page) == "ws"
    tunnel.rate = 1_000_000 / 8
    until(page, lambda: transport_of(page) == "webrtc")
    newest = max(stream.published)
    assert until(page, lambda: number_on(page) >= newest) < 5


def test_where_the_video_and_the_line_are_gone_the_page_says_so(
    serving: Serving,
    open_page: Callable[..., Any],
    udp_relay: UdpRelay,
    relay_to: Callable[[int], Relay],
) -> None:
    """The line was lost while the video was seen, and nobody had to know until now."""
    tunnel = relay_to(serving.port)
    page = page_through(udp_relay, open_page)
    hurry(page, "whep.js", FROZEN_MS=500, WATCH_MS=100)
    # Once lost it tries again, which tells nothing for long.
    hurry(page, "socket.js", PING_MS=100, OPEN_MS=600_000)
    page.goto(serving.url("/cam", query="&transport=webrtc", port=tunnel.port))
    page.wait_for_selector(WEBRTC)
    with page.expect_websocket():
        tunnel.is_held = True
    assert state_of(page) == "live"
    udp_relay.is_cut = True
    wait_state(page, "reconnecting")


def switch_by_itself(page: Any, serving: Serving, tunnel: Relay) -> None:
    """Open a page on a line too narrow for it, until it has found WebRTC good for a while."""
    page.goto(serving.url("/cam", port=tunnel.port))
    wait_picture(page)
    tunnel.rate = 1_000_000 / 8
    until(page, lambda: transport_of(page) == "webrtc")
    tunnel.rate = 0
    page.wait_for_timeout(2500)
    until(page, lambda: transport_of(page) == "webrtc")


def test_a_switch_that_nobody_asked_for_is_undone_where_it_becomes_worse(
    rig: Rig,
    open_page: Callable[..., Any],
    relay_to: Callable[[int], Relay],
    udp_relay: UdpRelay,
) -> None:
    """Also long after it was good, and while single pictures still come."""
    stream = rig.stream(padding_bytes=10_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    page = page_through(udp_relay, open_page)
    hurry(page, "whep.js", TRIAL_MS=1000, MANY_SKIPS=1, FROZEN_MS=600_000)
    switch_by_itself(page, serving, relay_to(serving.port))
    udp_relay.loss = 0.8
    until(page, lambda: transport_of(page) == "ws")
    newest = max(stream.published)
    until(page, lambda: number_on(page) >= newest)


def test_a_switch_that_somebody_asked_for_stays(
    rig: Rig, open_page: Callable[..., Any], udp_relay: UdpRelay
) -> None:
    """Whatever it shows: he may know of the line what the page cannot."""
    stream = rig.stream(padding_bytes=10_000)
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    page = page_through(udp_relay, open_page)
    hurry(page, "whep.js", TRIAL_MS=300, WATCH_MS=100, FROZEN_MS=600_000)
    page.goto(serving.url("/cam", query="&transport=webrtc"))
    page.wait_for_selector(WEBRTC)
    udp_relay.loss = 0.8
    page.wait_for_timeout(1500)

    assert transport_of(page) == "webrtc"


def test_a_switch_that_nobody_asked_for_is_undone_where_pictures_come_late(
    rig: Rig,
    open_page: Callable[..., Any],
    relay_to: Callable[[int], Relay],
    udp_relay: UdpRelay,
) -> None:
    """As many of them as before, and each of a while ago."""
    serving = rig.serve()
    serving.mount("/cam", rig.stream(padding_bytes=10_000).hub)
    page = page_through(udp_relay, open_page)
    hurry(page, "whep.js", TRIAL_MS=1000, MANY_SKIPS=1)
    page.add_init_script("""
      window.lateTicks = 0;
      const ask = HTMLVideoElement.prototype.requestVideoFrameCallback;
      HTMLVideoElement.prototype.requestVideoFrameCallback = function (then) {
        return ask.call(this, (now, about) => {
          then(now, { ...about, rtpTimestamp: about.rtpTimestamp - window.lateTicks });
        });
      };
    """)
    switch_by_itself(page, serving, relay_to(serving.port))
    page.evaluate("window.lateTicks = 3 * 90_000")
    until(page, lambda: transport_of(page) == "ws")
