"""What colours players and browsers show, of a stream that goes the whole way."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._gst.gi import Gst
from tests.apps import State, streaming
from tests.caps import field
from tests.outputs.web.conftest import CHROMIUM
from tests.outputs.web.firefox import FIREFOX, look
from tests.outputs.web.screen import wait_picture
from tests.pictures import COLOURS, patch, patches
from tests.streams import launch
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backpack.spyglass import SpyGlass

WIDTH, HEIGHT = 1280, 720
PICTURES = 20
"""How many to wait for: the first ones have few bits, and their edges show."""

ROUNDING = {"gstreamer": 6, "chromium": 4, "firefox": 4}
"""
Levels that may be off; else 3.

Of the bytes that stand for pure green GStreamer's videoconvert makes (0, 250, 0), whatever is said
of them; of those for pure blue the browsers' libyuv makes (0, 0, 251).
"""

READ = f"""(() => {{
  const shown = [...document.querySelectorAll(".picture:not([hidden])")].at(-1);
  const canvas = document.createElement("canvas");
  canvas.width = {WIDTH};
  canvas.height = {HEIGHT};
  const context = canvas.getContext("2d");
  context.drawImage(shown, 0, 0, {WIDTH}, {HEIGHT});
  return [...Array(8).keys()].map((number) => {{
    const x = {WIDTH} * (number % 4 + 0.5) / 4, y = {HEIGHT} * (Math.floor(number / 4) + 0.5) / 2;
    const [red, green, blue] = context.getImageData(x, y, 1, 1).data;
    return [blue, green, red];
  }});
}})()"""
IS_LIVE = """document.querySelector('#stage[data-state="live"]:not(.empty)') !== null
  && document.querySelector(".picture:not([hidden])") !== null"""


@pytest.fixture(scope="module")
def stream() -> Iterator[SpyGlass]:
    """Stream eight patches over RTSP and to the page."""
    import threading  # noqa: PLC0415 - of this fixture alone

    image, ended = patches(WIDTH, HEIGHT), threading.Event()
    with streaming("rtsp://127.0.0.1:0/door", "http://127.0.0.1:0/door") as spyglass:

        def put() -> None:
            while not ended.wait(1 / 15):
                spyglass.put(image)

        thread = threading.Thread(target=put)
        thread.start()
        try:
            # Who comes before the first frame gets the card.
            wait_for(lambda: spyglass.state is State.STREAMING)
            yield spyglass
        finally:
            ended.set()
            thread.join()


def assert_colours(player: str, found: Any) -> None:
    """Compare what was seen of the patches with what was put."""
    levels = np.abs(np.array(found, float) - np.array(COLOURS)).max(axis=1)
    assert levels.max() <= ROUNDING.get(player, 3), dict(zip(COLOURS, found, strict=True))


def means(picture: Any) -> list[Any]:
    """Return the mean colour of each patch of a BGR picture."""
    height, width = picture.shape[:2]
    return [
        picture[patch(number, width, height, inner=True)].reshape(-1, 3).mean(axis=0)
        for number in range(len(COLOURS))
    ]


def test_ffmpeg_shows_them(stream: SpyGlass) -> None:
    """By the matrix that the parameter sets name."""
    command = [
        *("ffmpeg", "-v", "error", "-rtsp_transport", "tcp", "-i", stream.urls()[0]),
        *("-frames:v", str(PICTURES), "-sws_flags", "accurate_rnd+full_chroma_int"),
        *("-f", "rawvideo", "-pix_fmt", "bgr24", "-"),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=60, check=True)
    picture = np.frombuffer(done.stdout[-WIDTH * HEIGHT * 3 :], np.uint8)
    assert_colours("ffmpeg", means(picture.reshape(HEIGHT, WIDTH, 3)))


@pytest.mark.skipif(shutil.which("mpv") is None, reason="mpv is not installed: apt-get install mpv")
def test_mpv_shows_them(stream: SpyGlass, tmp_path: Path) -> None:
    """It converts primaries and transfer as well: pure green stays pure."""
    command = [
        *("mpv", "--no-config", "--no-audio", "--really-quiet", "--rtsp-transport=tcp"),
        *("--vo=image", "--vo-image-format=png", f"--vo-image-outdir={tmp_path}"),
        *(f"--frames={PICTURES}", stream.urls()[0]),
    ]
    subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert_colours("mpv", means(picture_in(max(tmp_path.iterdir()))))


def picture_in(path: Path) -> Any:
    """Decode a PNG, which is exact."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    return cv2.imread(str(path))


def test_opencv_shows_them(stream: SpyGlass) -> None:
    """As an application that reads the stream gets them."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    capture = cv2.VideoCapture(stream.urls()[0])
    try:
        for _ in range(PICTURES):
            taken, picture = capture.read()
            assert taken
    finally:
        capture.release()
    assert_colours("opencv", means(picture))


def test_gstreamer_shows_them(stream: SpyGlass) -> None:
    """With its own converter."""
    pipeline = launch(
        f"rtspsrc location={stream.urls()[0]} protocols=tcp latency=0 ! rtph264depay ! h264parse "
        "! avdec_h264 ! videoconvert dither=none ! video/x-raw,format=BGR ! appsink name=sink"
    )
    pipeline.set_state(Gst.State.PLAYING)
    try:
        for _ in range(PICTURES):
            sample = pipeline.get_by_name("sink").try_pull_sample(20 * Gst.SECOND)
            assert sample is not None
        buffer = sample.get_buffer()
        data = buffer.extract_dup(0, buffer.get_size())
    finally:
        pipeline.set_state(Gst.State.NULL)
    assert int(field(sample.get_caps(), "width")) == WIDTH
    assert_colours("gstreamer", means(np.frombuffer(data, np.uint8).reshape(HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize("transport", ["ws", "webrtc"])
def test_chromium_shows_them(stream: SpyGlass, transport: str) -> None:
    """On the page, by WebCodecs as by WebRTC."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{stream.urls()[1]}&transport={transport}")
        wait_picture(page)
        page.wait_for_timeout(1000)
        found = page.evaluate(READ)
        browser.close()
    assert_colours("chromium", found)


@pytest.mark.skipif(FIREFOX is None, reason="Firefox is not installed: apt-get install firefox-esr")
def test_firefox_shows_them(stream: SpyGlass, tmp_path: Path) -> None:
    """On the page."""
    assert_colours("firefox", look(stream.urls()[1], IS_LIVE, READ, tmp_path))
