from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from backpack._app.shared_supervisor import shared_supervisor
from backpack.web import WebServer, WebSpyGlass
from tests.numbered import numbered
from tests.outputs.web.rig import TOKEN
from tests.outputs.web.screen import (
    hurry,
    is_grey,
    moves,
    note_states,
    noted_states,
    number_on,
    numbers_on,
    state_of,
    until,
    wait_picture,
    wait_state,
)
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.outputs.web.rig import Rig, Serving
    from tests.streams import NumberedStream

ROOT = Path(__file__).parents[4]

DECODERS = [("127.0.0.1", "webcodecs"), ("spy.test", "mse")]
"""A secure context by its name, and one that is not."""


@pytest.fixture
def serving(rig: Rig, stream: NumberedStream) -> Serving:
    """Give a server with the stream at /cam, which goes by a name that is no secure context too."""
    made = rig.serve(allowed_hosts=("spy.test",))
    made.mount("/cam", stream.hub)
    return made


@pytest.mark.parametrize(("host", "decoder"), DECODERS)
def test_the_page_shows_the_pictures(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any], host: str, decoder: str
) -> None:
    """The numbers on the screen are those of present frames, in order, with either decoder."""
    page = open_page(serving.url("/cam", host=host))
    wait_picture(page)
    assert page.get_attribute("#stage", "data-player") == decoder
    numbers = numbers_on(page, stream)

    assert numbers == sorted(numbers)
    until(page, lambda: page.inner_text("#latency").endswith(" ms"))
    until(page, lambda: page.inner_text("#fps").endswith(" fps"))
    until(page, lambda: serving.viewers() == 1)


def test_the_token_leaves_the_address_bar(serving: Serving, open_page: Callable[..., Any]) -> None:
    """It is in the cookie from then on, out of the reach of scripts; and nobody else is asked."""
    page = open_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda ws: asked.append(ws.url))
    page.goto(serving.url("/cam", query="&transport=ws"))
    wait_picture(page)

    assert urlsplit(page.url).query == "transport=ws"
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("document.referrer") == ""
    assert {urlsplit(url).netloc for url in asked} == {f"127.0.0.1:{serving.port}"}
    assert [url for url in asked if TOKEN in url] == asked[:1]


def test_a_wrong_token_shows_no_picture(serving: Serving, open_page: Callable[..., Any]) -> None:
    """But what to do."""
    page = open_page(f"http://127.0.0.1:{serving.port}/cam?token=wrong")

    assert "Not allowed" in page.inner_text("h1")
    assert page.query_selector("#stage") is None


def test_two_pages_watch_at_once(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """Both live, from one encode; when they go nothing is left."""
    pages = [open_page(serving.url("/cam", host=host)) for host, _ in DECODERS]
    for page in pages:
        wait_picture(page)
    for page in pages:
        assert moves(page)
    assert serving.viewers() == 2
    assert stream.hub.subscriber_count == 1
    for page in pages:
        page.close()
    wait_for(lambda: serving.viewers() == 0 and not stream.hub.subscriber_count)


def shows_all(serving: Serving) -> bool:
    """Tell whether the pages show everything that was sent to them."""
    site = serving.server._site
    return site is not None and not any(one.flow._outstanding for one in list(site._sessions))


def test_pausing_holds_the_picture_and_costs_nothing(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """By button and by key; playing again goes on at the live edge."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    page.click("#pause")
    wait_state(page, "paused")
    until(page, lambda: serving.viewers() == 0 and shows_all(serving))
    held = number_on(page)
    page.wait_for_timeout(300)
    assert number_on(page) == held
    assert page.get_attribute("#pause", "aria-label") == "Play"
    page.keyboard.press("k")
    wait_state(page, "live")
    until(page, lambda: number_on(page) > held)


def test_a_snapshot_is_saved(serving: Serving, open_page: Callable[..., Any]) -> None:
    """As a PNG of the stream's own size, named by stream and time; by either decoder."""
    for host, _ in DECODERS:
        page = open_page(serving.url("/cam", host=host))
        wait_picture(page)
        with page.expect_download() as download:
            page.keyboard.press("s")
        path = download.value.path()

        assert download.value.suggested_filename.startswith("cam-20")
        assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert int.from_bytes(Path(path).read_bytes()[16:20], "big") == 320


def test_full_screen_comes_and_goes(serving: Serving, open_page: Callable[..., Any]) -> None:
    """By key and by button, and the button says which."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    page.keyboard.press("f")
    until(page, lambda: page.evaluate("document.fullscreenElement !== null"))
    page.wait_for_selector('#fullscreen[aria-label="Leave full screen"]')
    page.click("#fullscreen")
    until(page, lambda: page.evaluate("document.fullscreenElement === null"))
    page.wait_for_selector('#fullscreen[aria-label="Full screen"]')


def test_what_is_waited_for_is_said(rig: Rig, open_page: Callable[..., Any]) -> None:
    """No stream yet, then no frames yet, then live, then the end with the last frame's age."""
    serving = rig.serve()
    page = open_page(serving.url("/cam"))
    wait_state(page, "absent")
    silent = rig.stream(fps=0)
    serving.mount("/cam", silent.hub)
    wait_state(page, "waiting")
    assert "Waiting for frames" in page.inner_text("#notice")
    serving.unmount("/cam")
    wait_state(page, "ended")
    serving.mount("/cam", rig.stream().hub)
    wait_picture(page)
    serving.unmount("/cam")
    wait_state(page, "ended")
    until(page, lambda: "Last frame" in page.inner_text("#notice"))
    until(page, lambda: is_grey(page))


def test_a_silent_application_is_seen_as_such(
    serving: Serving, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """The last frame stays, greyed, with its age, which grows; when frames come it is live."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    until(page, lambda: not is_grey(page))
    stream.fps, fps = 0, stream.fps
    wait_state(page, "still")
    until(page, lambda: is_grey(page))
    first = page.inner_text("#age")
    assert "Last frame" in first
    until(page, lambda: page.inner_text("#age") != first)
    stream.fps = fps
    wait_picture(page)
    until(page, lambda: not is_grey(page))


def test_too_many_viewers_are_told(rig: Rig, open_page: Callable[..., Any]) -> None:
    """And come in by themselves when there is room."""
    serving = rig.serve(max_viewers=1)
    serving.mount("/cam", rig.stream().hub)
    first = open_page(serving.url("/cam"))
    wait_picture(first)
    second = open_page(serving.url("/cam"))
    wait_state(second, "full")
    first.close()
    wait_picture(second)


class Killable:
    """A streaming process that can be killed."""

    def __init__(self, port: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.outputs.web.process", str(port)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Kill it as nothing else would: it says no goodbye."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.mark.parametrize(("host", "decoder"), DECODERS)
def test_the_page_comes_back_after_a_kill(
    open_page: Callable[..., Any], host: str, decoder: str
) -> None:
    """The last frame stays, greyed, meanwhile; its cookie still lets it in."""
    process = Killable()
    try:
        page = open_page(f"http://{host}:{process.port}/cam?token={TOKEN}")
        wait_picture(page)
        assert page.get_attribute("#stage", "data-player") == decoder
    finally:
        process.kill()
    wait_state(page, "reconnecting")
    until(page, lambda: is_grey(page))
    until(page, lambda: "Last frame" in page.inner_text("#notice"))
    process = Killable(process.port)
    try:
        wait_picture(page)
        assert moves(page)
        until(page, lambda: not is_grey(page))
    finally:
        process.kill()


def test_an_application_and_its_page_survive_the_streaming_process(
    open_page: Callable[..., Any],
) -> None:
    """Everything real: frames that are put are seen, and by the same page after a kill -9."""
    server = WebServer(0)
    stopped = threading.Event()
    with server, WebSpyGlass(server, "/door") as door:

        def put() -> None:
            number = 0
            while not stopped.wait(0.03):
                number += 1
                door.put(numbered(number))

        putting = threading.Thread(target=put)
        putting.start()
        try:
            page = open_page(server.url("/door"))
            wait_picture(page)
            pid = door.stats().streamer_pid
            assert pid is not None
            note_states(page)
            os.kill(pid, signal.SIGKILL)
            until(page, lambda: "reconnecting" in noted_states(page))
            wait_picture(page)
            assert door.stats().streamer_pid != pid
        finally:
            stopped.set()
            putting.join()
    shared_supervisor().shut_down()


def test_another_token_is_told_to_pages_that_had_the_old_one(
    rig: Rig, stream: NumberedStream, open_page: Callable[..., Any]
) -> None:
    """The application was started again: they are not allowed any more, and say so."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    serving.close()
    wait_state(page, "reconnecting")
    again = rig.serve(port=serving.port, token="another-token-here")
    again.mount("/cam", stream.hub)
    wait_state(page, "denied")
    assert "Not allowed" in page.inner_text("#notice")


def test_the_list_shows_all_streams(rig: Rig, open_page: Callable[..., Any]) -> None:
    """With thumbnails of the newest frame, state and size; a click plays one."""
    serving = rig.serve()
    page = open_page(serving.url("/"))
    until(
        page,
        lambda: page.evaluate("document.querySelector('#notice').innerText.includes('No streams')"),
    )
    frames = rig.frames()
    frames.put(7)
    serving.numbers = {"width": 320, "height": 240, "fps": 30.0, "viewers": 2}
    stream = rig.stream()
    serving.mount("/cam", stream.hub, frames.snapshots.ask)
    serving.mount("/hall/door", rig.stream().hub)
    # The page may look between the two.
    until(page, lambda: len(page.query_selector_all(".card")) == 2)
    page.wait_for_selector(".card img:not([hidden])")
    cards = page.query_selector_all(".card")

    assert [card.query_selector(".name").inner_text() for card in cards] == ["cam", "hall/door"]
    assert "320 \u00d7 240" in cards[0].inner_text()
    assert "2 viewers" in cards[0].inner_text()
    # Each new thumbnail takes a moment.
    until(page, lambda: page.evaluate("document.querySelector('.card img').naturalWidth") == 320)
    assert not stream.hub.subscriber_count
    cards[0].query_selector("a").click()
    wait_picture(page)
    page.click('a[aria-label="All streams"]')
    page.wait_for_selector(".card")
    serving.unmount("/hall/door")
    until(page, lambda: len(page.query_selector_all(".card")) == 1)


@pytest.mark.parametrize("path", ["/", "/cam"])
def test_pages_fit_a_phone(rig: Rig, open_page: Callable[..., Any], path: str) -> None:
    """Nothing is wider than the screen; what is to be touched is large enough."""
    serving = rig.serve()
    name = "/a-rather-long-name-for-a-stream-at-the-front-door" if path != "/" else "/cam"
    serving.mount(name, rig.stream().hub)
    page = open_page(
        serving.url(name if path != "/" else "/"),
        viewport={"width": 360, "height": 640},
        has_touch=True,
        is_mobile=True,
    )
    if path == "/":
        page.wait_for_selector(".card")
    else:
        wait_picture(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for box in [one.bounding_box() for one in page.query_selector_all(".panel, .button, .card")]:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    for box in [one.bounding_box() for one in page.query_selector_all(".button")]:
        assert min(box["width"], box["height"]) >= 44


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_used_by_everybody(
    rig: Rig, open_page: Callable[..., Any], scheme: str
) -> None:
    """Axe finds nothing: names, contrasts, landmarks, in either colour scheme and in all states."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe").Axe()

    def check(page: Any) -> None:
        found = axe.run(page)
        assert not found.response["violations"], found.generate_report()

    serving = rig.serve()
    options = {"color_scheme": scheme, "reduced_motion": "reduce"}
    page = open_page(f"http://127.0.0.1:{serving.port}/", **options)
    check(page)
    page = open_page(serving.url("/"), **options)
    until(
        page,
        lambda: page.evaluate("document.querySelector('#notice').innerText.includes('No streams')"),
    )
    check(page)
    page.goto(serving.url("/cam"))
    wait_state(page, "absent")
    check(page)
    frames = rig.frames()
    frames.put(3)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    wait_picture(page)
    page.mouse.move(100, 100)
    check(page)
    page.click("#pause")
    check(page)
    serving.unmount("/cam")
    wait_state(page, "ended")
    check(page)
    serving.mount("/cam", rig.stream().hub, frames.snapshots.ask)
    page.goto(serving.url("/"))
    page.wait_for_selector(".card img:not([hidden])")
    check(page)


def test_everything_is_reached_by_keyboard(serving: Serving, open_page: Callable[..., Any]) -> None:
    """One control after the other, and each has a name."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    names = []
    for _ in range(5):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))

    assert names == [
        "All streams",
        "Pause",
        "Save a snapshot",
        "Video over WebRTC",
        "Full screen",
    ]
    page.focus("#pause")
    page.keyboard.press(" ")
    wait_state(page, "paused")


def test_controls_leave_a_live_picture_alone(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """After a while without a touch, and come back with one."""
    page = open_page(serving.url("/cam"))
    wait_picture(page)
    opacity = "getComputedStyle(document.querySelector('.tools')).opacity"
    until(page, lambda: page.evaluate(f"{opacity} === '0'"))
    page.mouse.move(50, 50)
    until(page, lambda: page.evaluate(f"{opacity} === '1'"))


def test_controls_stay_for_the_keyboard_and_not_for_a_click(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """A button that was clicked keeps the focus, and nobody is there any more."""
    page = open_page()
    hurry(page, "stream.js", IDLE_MS=300)
    page.goto(serving.url("/cam"))
    wait_picture(page)
    opacity = "getComputedStyle(document.querySelector('.tools')).opacity"
    page.click("#pause")
    page.click("#pause")
    page.mouse.move(50, 50)
    until(page, lambda: page.evaluate(f"{opacity} === '0'"))
    page.keyboard.press("Tab")
    page.wait_for_selector(".stage.idle")
    page.wait_for_timeout(500)
    assert page.evaluate(f"{opacity} === '1'")


def test_an_unknown_transport_is_the_first_one(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """Also one that is not built in: never worse than before."""
    for wanted in ("webrtc", "pigeon"):
        page = open_page(serving.url("/cam", query=f"&transport={wanted}"))
        wait_picture(page)
        assert state_of(page) == "live"


def test_a_video_that_shows_nothing_begins_again(
    serving: Serving, open_page: Callable[..., Any]
) -> None:
    """What was appended behind the playhead is never shown; the page asks for a new beginning."""
    page = open_page()
    said: list[str] = []
    page.on("websocket", lambda ws: ws.on("framesent", lambda sent: said.append(str(sent))))
    # As where it is behind: no picture is ever presented.
    page.add_init_script("HTMLVideoElement.prototype.requestVideoFrameCallback = () => 1;")
    page.goto(serving.url("/cam", host="spy.test"))

    until(page, lambda: any("resync" in one for one in said))
