from __future__ import annotations

import ctypes
import io
import socket
import subprocess
import threading
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import numpy as np

from backpack._gst.gi import Gst
from backpack._outputs.web.worker.jpeg import captured_ns
from backpack._worker.placeholder import Placeholder
from tests.ffmpeg import passthrough
from tests.numbered import WIDTH, read
from tests.outputs.web.rig import TOKEN
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.outputs.web.rig import Frames, Rig, Serving
    from tests.streams import NumberedStream


def luma(jpeg: bytes) -> Any:
    """Decode a JPEG's luma with ffmpeg."""
    done = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-f",
            "mjpeg",
            "-i",
            "-",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "gray",
            "-",
        ],
        input=jpeg,
        capture_output=True,
        check=True,
    )
    return np.frombuffer(done.stdout, np.uint8)


def serve(rig: Rig, stream: NumberedStream) -> tuple[Serving, Frames]:
    """Serve a stream whose newest frame can be asked for."""
    frames = rig.frames()
    serving = rig.serve()
    serving.mount("/cam", stream.hub, frames.snapshots.ask)
    return serving, frames


def test_a_snapshot_is_the_newest_frame(rig: Rig, stream: NumberedStream) -> None:
    """With its capture time; nothing is encoded for it. Before the first frame there is none."""
    serving, frames = serve(rig, stream)
    assert serving.ask("/cam/snapshot.jpg").status == 503
    for number in (5, 6, 77):
        frames.put(number)
    answer = serving.ask("/cam/snapshot.jpg")

    assert answer.headers["Content-Type"] == "image/jpeg"
    assert read(luma(answer.body)) == 77
    taken_ns = captured_ns(answer.body)
    assert taken_ns is not None
    assert abs(time.time_ns() - taken_ns) < 60 * 10**9
    modified = parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()
    assert abs(modified - taken_ns / 1e9) < 2
    assert not stream.hub.subscriber_count


def test_a_snapshot_may_be_smaller(rig: Rig, stream: NumberedStream) -> None:
    """At most as wide as asked, never enlarged, and nonsense is no width."""
    serving, frames = serve(rig, stream)
    frames.put(1)
    for asked, width in (("160", 160), ("9999999", WIDTH), ("-5", 32), ("x", WIDTH), ("150", 160)):
        body = serving.ask(f"/cam/snapshot.jpg?width={asked}").body
        done = subprocess.run(
            [
                "ffprobe",
                "-v",
                "error",
                "-show_entries",
                "stream=width",
                "-of",
                "csv=p=0",
                "-f",
                "mjpeg",
                "-",
            ],
            input=body,
            capture_output=True,
            check=True,
        )
        assert int(done.stdout) == width


def test_those_who_ask_at_once_share_one(rig: Rig, stream: NumberedStream) -> None:
    """A page that many look at costs one snapshot at a time."""
    serving = rig.serve()
    frames = rig.frames()
    frames.put(1)
    asked = []

    def ask(width: int, then: Any) -> None:
        asked.append(width)
        frames.snapshots.ask(width, then)

    serving.mount("/cam", stream.hub, ask)
    workers = [threading.Thread(target=serving.ask, args=["/cam/snapshot.jpg"]) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(asked) < 8


def test_other_pages_may_embed_what_they_have_the_token_for(
    rig: Rig, stream: NumberedStream
) -> None:
    """By the cookie alone, which the browser would send by itself, they may not."""
    serving, frames = serve(rig, stream)
    frames.put(1)
    cookie = serving.ask(f"/?token={TOKEN}", login=False).headers["Set-Cookie"].split(";")[0]

    def policy(path: str, headers: dict[str, str]) -> str:
        answer = serving.ask(path, login=False, headers=headers)
        assert answer.status == 200
        return str(answer.headers["Cross-Origin-Resource-Policy"])

    assert policy(f"/cam/snapshot.jpg?token={TOKEN}", {}) == "cross-origin"
    assert policy("/cam/snapshot.jpg", {"Cookie": cookie}) == "same-origin"


class Putter:
    """Put a numbered frame whenever the stream has a new picture."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        number = 0
        while not self._stopped.wait(0.03):
            number += 1
            self._frames.put(number)

    def close(self) -> None:
        """Stop putting."""
        self._stopped.set()
        self._thread.join()


def numbers_of(pictures: Any) -> list[int | None]:
    """Read the numbers of decoded gray pictures."""
    return [read(picture) for picture in pictures.reshape(-1, WIDTH * 240)]


def test_ffmpeg_reads_the_jpegs(rig: Rig, stream: NumberedStream) -> None:
    """One newer than the other, at a low rate; who reads them is a viewer, until they go."""
    serving, frames = serve(rig, stream)
    putter = Putter(frames)
    try:
        begin = time.monotonic()
        done = subprocess.run(
            [
                *("ffmpeg", "-v", "error", "-i", serving.url("/cam/stream.mjpg"), "-frames:v", "6"),
                *(*passthrough(), "-f", "rawvideo", "-pix_fmt", "gray", "-"),
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )
        took = time.monotonic() - begin
    finally:
        putter.close()
    numbers = numbers_of(np.frombuffer(done.stdout, np.uint8))

    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))
    assert took > 0.8
    wait_for(lambda: serving.viewers() == 0)
    wait_for(lambda: not stream.hub.subscriber_count)


def test_gstreamer_reads_the_jpegs(rig: Rig, stream: NumberedStream) -> None:
    """With the elements that its users have for it; a viewer is counted meanwhile."""
    serving, frames = serve(rig, stream)
    frames.put(1)
    putter = Putter(frames)
    url = serving.url("/cam/stream.mjpg")
    pipeline = Gst.parse_launch(
        f'souphttpsrc location="{url}" is-live=true ! multipartdemux single-stream=true ! '
        "image/jpeg ! jpegdec ! videoconvert ! video/x-raw,format=GRAY8 ! "
        "appsink name=sink sync=false"
    )
    sink: Any = pipeline.get_by_name("sink")  # type: ignore[attr-defined]
    pipeline.set_state(Gst.State.PLAYING)
    try:
        numbers = []
        for _ in range(3):
            sample = sink.try_pull_sample(30 * Gst.SECOND)
            assert sample is not None
            buffer = sample.get_buffer()
            numbers.append(read(buffer.extract_dup(0, buffer.get_size())))
        assert serving.viewers() == 1
        # Nothing is encoded for it.
        assert not stream.hub.subscriber_count
    finally:
        pipeline.set_state(Gst.State.NULL)
        putter.close()

    assert None not in numbers
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    wait_for(lambda: serving.viewers() == 0)


def test_before_the_first_frame_there_is_a_card(rig: Rig, stream: NumberedStream) -> None:
    """It looks as the one that players get, and the first frame follows it."""
    serving, frames = serve(rig, stream)
    card = Placeholder(640, 360).picture
    drawn = np.frombuffer(ctypes.string_at(card.address, 640 * 360), np.uint8)

    wanted = Request(
        serving.url("/cam/stream.mjpg").partition("?")[0],
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urlopen(wanted, timeout=30) as answer:
        shown = luma(next_jpeg(answer))
        assert shown.size == drawn.size
        assert np.abs(shown.astype(int) - drawn).mean() < 2
        frames.put(9)
        assert numbers_of(luma(next_jpeg(answer))) == [9]


def next_jpeg(answer: Any) -> bytes:
    """Read one picture of a multipart answer."""
    while not (line := answer.readline()).startswith(b"Content-Length:"):
        assert line
    answer.readline()
    return bytes(answer.read(int(line.split(b":")[1])))


def test_the_jpegs_end_with_the_stream(rig: Rig, stream: NumberedStream) -> None:
    """A reader sees the end and not a picture that stands still for ever."""
    serving, frames = serve(rig, stream)
    frames.put(3)
    received = io.BytesIO()

    def read_all() -> None:
        received.write(serving.ask("/cam/stream.mjpg").body)

    reader = threading.Thread(target=read_all)
    reader.start()
    wait_for(lambda: serving.viewers() == 1)
    serving.unmount("/cam")
    reader.join(30)

    assert not reader.is_alive()


def test_a_reader_that_goes_before_the_first_frame_is_counted_out(
    rig: Rig, stream: NumberedStream
) -> None:
    """Though a connection that was closed shows only when something is sent on it."""
    serving = rig.serve()
    serving.mount("/cam", stream.hub)
    with socket.create_connection(("127.0.0.1", serving.port)) as sock:
        lines = [
            "GET /cam/stream.mjpg HTTP/1.1",
            f"Host: 127.0.0.1:{serving.port}",
            f"Authorization: Bearer {TOKEN}",
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        wait_for(lambda: serving.viewers() == 1)

    wait_for(lambda: serving.viewers() == 0)
