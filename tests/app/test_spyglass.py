from __future__ import annotations

import logging
import os
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from backpack._app.shared_supervisor import shared_supervisor
from backpack.errors import (
    BackpackError,
    EncoderError,
    FrameError,
    MissingDependencyError,
    PipelineError,
    SettingsError,
    ShortageError,
    StateError,
)
from backpack.push import GstSink
from backpack.spyglass import SpyGlass
from tests.apps import (
    State,
    frame,
    nothing_left_behind,
    putting,
    run_app,
    start_app,
    streaming,
    watcher,
)
from tests.waiting import is_running, open_descriptors, stays_true, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


def watched(spyglass: SpyGlass) -> SpyGlass:
    """Wait until the application's side knows that somebody watches."""

    def is_wanted() -> bool:
        spyglass.put(frame())
        return spyglass._frames.is_wanted

    wait_for(is_wanted)
    return spyglass


# --- put ------------------------------------------------------------------------


def test_what_put_answers_is_told_by_the_counters() -> None:
    """True: it is in the ring. False: one of the counters says why, and they add up."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door")
    assert not spyglass.put(frame())
    assert spyglass.stats().stopped == 1
    with spyglass:
        # Unwatched one a second is taken; a busy machine may let one pass between two.
        taken = [spyglass.put(frame()) for _ in range(10)]
        stats = spyglass.stats()
        assert (stats.accepted, stats.not_wanted) == (taken.count(True), taken.count(False))
        assert taken[0]
        assert not all(taken)
    assert not spyglass.put(frame())
    stats = spyglass.stats()
    assert stats.stopped == 2
    assert stats.put == 12


def test_frames_faster_than_the_rate_are_not_due() -> None:
    """The extra frames are not copied, and counted."""
    with streaming(watcher(), fps=1) as spyglass:
        watched(spyglass)
        before = spyglass.stats()
        assert [spyglass.put(frame()) for _ in range(20)].count(True) <= 1
        assert spyglass.stats().not_due - before.not_due >= 19


def test_a_frame_that_is_not_newer_is_stale() -> None:
    """The same timestamp twice is no new frame."""
    with streaming(watcher(), fps=240) as spyglass:
        watched(spyglass)
        now = time.time()
        wait_for(lambda: spyglass.put(frame(), timestamp=now + 0.5))
        wait_for(lambda: spyglass.put(frame(), timestamp=now) or spyglass.stats().stale)
        assert spyglass.stats().stale == 1


def test_frames_put_while_the_streaming_process_is_away_are_counted() -> None:
    """A put in the meantime says False and waits for nobody."""
    with streaming(watcher()) as spyglass:
        watched(spyglass)
        os.kill(spyglass.stats().streamer_pid or 0, 9)
        wait_for(lambda: not spyglass.put(frame()) and spyglass.stats().away)
        wait_for(lambda: spyglass.state is State.STREAMING)


@pytest.mark.parametrize(
    "bad", [None, [[1]], b"", np.zeros((4, 4, 2), np.uint8), np.zeros((4, 4, 3)), "frame"]
)
def test_what_is_no_frame_is_the_applications_mistake(bad: Any) -> None:
    """FrameError in every state but disabled, and the stream goes on."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door")
    with pytest.raises(FrameError):
        spyglass.put(bad)
    with spyglass:
        with pytest.raises(FrameError):
            spyglass.put(bad)
        assert spyglass.put(frame())


@pytest.mark.parametrize("bad", [float("nan"), "now", -5, (1,), 1e30])
def test_a_timestamp_that_is_none_is_a_mistake_always(bad: Any) -> None:
    """Also for a frame that would not have been taken."""
    with streaming("rtsp://127.0.0.1:0/door") as spyglass:
        for _ in range(3):
            with pytest.raises(FrameError):
                spyglass.put(frame(), timestamp=bad)


def test_any_strides_and_any_size_are_taken() -> None:
    """Odd sizes, a single pixel, views of every kind, larger and smaller ones in turn."""
    base = np.random.default_rng(1).integers(0, 256, (481, 641, 4), np.uint8)
    base.flags.writeable = False
    frames = [
        base[..., :3],
        base[::-1, ::-1, :3],
        base[:1, :1],
        base[..., 0],
        base[..., :1],
        base[::7, ::3],
        np.zeros((1080, 1920, 3), np.uint8),
        np.zeros((1, 8192), np.uint8),
        base,
    ]
    with streaming(watcher(), fps=240) as spyglass:
        # The first frame encoded fixes the size; of those put before, any may be passed over.
        wait_for(lambda: spyglass.put(frame(500, 300)) and spyglass.stats().encoded)
        for image in frames:
            wait_for(lambda image=image: spyglass.put(image))
        encoded = spyglass.stats().encoded
        wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > encoded + 3)
        assert (spyglass.video_width, spyglass.video_height) == (500, 300)
        assert spyglass.stats().error is None


def test_a_larger_frame_gets_a_new_ring() -> None:
    """Numbers go on, nothing of the old ring stays, and pictures flow."""
    with streaming(watcher(), fps=240) as spyglass:
        watched(spyglass)
        before = open_descriptors()
        for size in range(100, 1000, 100):
            wait_for(lambda size=size: spyglass.put(frame(size, size)))
        encoded = spyglass.stats().encoded
        wait_for(lambda: spyglass.put(frame(900, 900)) and spyglass.stats().encoded > encoded)
        assert spyglass.stats().accepted >= 9
        wait_for(lambda: open_descriptors() <= before)


def test_put_from_eight_threads() -> None:
    """Every call is counted once, none is lost or raises, and pictures come out."""
    calls = 400
    with streaming(watcher(), fps=240) as spyglass:
        watched(spyglass)
        before = spyglass.stats()

        def put(value: int) -> None:
            image = frame(value=value)
            for _ in range(calls):
                spyglass.put(image)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: spyglass.stats().encoded > before.encoded)
        after = spyglass.stats()
    assert after.put - before.put == 8 * calls
    outcomes = ("accepted", "not_wanted", "not_due", "away", "stopped", "stale")
    assert sum(getattr(after, name) for name in outcomes) == after.put


def test_the_aliases_of_the_ecosystem_put() -> None:
    """OpenCV's, supervision's and inference's names hand frames over."""

    class VideoFrame:
        image = frame()

    spyglass = SpyGlass(watcher())
    spyglass.write(frame())
    spyglass.write_frame(frame())
    spyglass({}, frame())
    spyglass({}, VideoFrame())
    spyglass([{}, {}], [None, VideoFrame()])
    assert spyglass.stats().put == 5
    spyglass({}, None)
    spyglass({}, [None])
    assert spyglass.stats().put == 5
    with pytest.raises(FrameError):
        spyglass.write("frame")  # type: ignore[arg-type]


def test_a_slow_log_does_not_hold_put_up() -> None:
    """While a log handler is busy with our news, frames are handed over."""
    logger = logging.getLogger("test.slow")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    busy, go_on = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "START_WARMUP → WARMUP" in record.getMessage():
                busy.set()
                go_on.wait(30)

    handler = Slow()
    logger.addHandler(handler)
    spyglass = SpyGlass(watcher(), parent_logger=logger)
    start = threading.Thread(target=spyglass.start_streaming)
    start.start()
    try:
        assert busy.wait(30)
        assert spyglass.put(frame())
        assert spyglass.stats().accepted == 1
    finally:
        go_on.set()
        start.join()
        logger.removeHandler(handler)
        spyglass.stop_streaming()


# --- life -----------------------------------------------------------------------


def test_the_life_of_a_stream() -> None:
    """STOPPED, WARMUP once the outputs are open, STREAMING from the first frame, STOPPED."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door")
    assert spyglass.state is State.STOPPED
    spyglass.start_streaming(fps=10, width=640)
    assert spyglass.state is State.WARMUP
    assert (spyglass.video_fps, spyglass.video_width, spyglass.video_height) == (10, 640, None)
    spyglass.put(frame())
    assert spyglass.state is State.STREAMING
    assert spyglass.stats().state == "STREAMING"
    spyglass.stop_streaming()
    assert spyglass.state is State.STOPPED


def test_settings_of_an_earlier_start_are_kept() -> None:
    """What a start says holds until another one says otherwise; a mistake changes nothing."""
    spyglass = SpyGlass(watcher(), fps=5)
    spyglass.start_streaming(np.float64(7.0), np.int64(640), 480)  # type: ignore[arg-type]
    spyglass.start_streaming()
    assert (spyglass.video_fps, spyglass.video_width, spyglass.video_height) == (7, 640, 480)
    with pytest.raises(SettingsError, match="fps=0"):
        spyglass.start_streaming(fps=0)
    assert spyglass.state is not State.STOPPED
    spyglass.start_streaming(None, height=None)
    assert (spyglass.video_fps, spyglass.video_width, spyglass.video_height) == (None, 640, None)
    spyglass.stop_streaming()


def test_the_size_is_known_from_the_first_put_on() -> None:
    """Also while nobody watches; a side that was asked for brings the other one in proportion."""
    with streaming("rtsp://127.0.0.1:0/door", width=320) as spyglass:
        spyglass.put(frame(800, 600))
        assert (spyglass.video_width, spyglass.video_height) == (320, 240)
    with streaming("rtsp://127.0.0.1:0/door") as spyglass:
        assert (spyglass.video_width, spyglass.video_height) == (None, None)
        spyglass.put(frame(801, 600))
        assert (spyglass.video_width, spyglass.video_height) == (800, 600)


def test_a_rate_above_the_default_one_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """With how to have all frames passed on."""
    caplog.set_level(logging.INFO, "backpack")
    with streaming(watcher()) as spyglass, putting(spyglass, fps=120):
        wait_for(lambda: "fps=" in caplog.text)
        encoded = spyglass.stats().encoded
        wait_for(lambda: spyglass.stats().encoded > encoded + 120)
    assert caplog.text.count("put() is called") == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"fps": 0},
        {"fps": -1},
        {"fps": float("nan")},
        {"fps": float("inf")},
        {"fps": "30"},
        {"fps": True},
        {"width": 8193},
        {"width": 640.5},
        {"height": 15},
        {"height": "480"},
        {"bitrate_kbps": 1},
        {"encoder": "x264enc ! fakesink"},
        {"encoder": 5},
        {"encoder": ""},
        {"linger_seconds": -1},
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]) -> None:
    """The error names the setting and what it may be."""
    with pytest.raises(SettingsError, match=next(iter(settings))):
        SpyGlass(watcher(), **settings)


def test_start_and_stop_may_be_called_again() -> None:
    """Twice is as once, in any state."""
    spyglass = SpyGlass(watcher())
    spyglass.stop_streaming()
    spyglass.start_streaming()
    spyglass.start_streaming()
    assert spyglass.state is State.WARMUP
    spyglass.stop_streaming()
    spyglass.stop_streaming()
    assert spyglass.state is State.STOPPED


def test_the_outermost_of_nested_blocks_stops() -> None:
    """The end of a `with` block in another one of the same object changes nothing."""
    spyglass = SpyGlass(watcher())
    with spyglass:
        starts = spyglass.stats().starts
        with spyglass, spyglass:
            spyglass.put(frame())
        assert spyglass.put(frame()) or spyglass.stats().stopped == 0
        assert spyglass.state is State.STREAMING
        assert spyglass.stats().starts == starts
    assert spyglass.state is State.STOPPED


def test_a_block_that_had_to_start_the_stream_stops_it() -> None:
    """Blocks are counted from the last start on: one that failed, or a stop, leaves no count."""
    broken = SpyGlass(watcher(), encoder="nosuchenc")
    with pytest.raises(BackpackError), broken:
        pytest.fail("There is no such encoder.")
    assert not broken._blocks.count
    spyglass = SpyGlass(watcher())
    with spyglass:
        spyglass.stop_streaming()
        with spyglass:
            assert spyglass.state is not State.STOPPED
        assert spyglass.state is State.STOPPED
    assert not spyglass._blocks.count


def test_thirty_starts_and_stops_leave_nothing() -> None:
    """Descriptors and threads are as before, and it was one streaming process all the time."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
    spyglass.start_streaming()
    pid = spyglass.stats().streamer_pid
    spyglass.put(frame())
    spyglass.stop_streaming()
    ours = open_descriptors()
    theirs = wait_for(lambda: open_descriptors(pid or 0))
    threads = threading.active_count()
    for _ in range(30):
        spyglass.start_streaming()
        spyglass.put(frame())
        spyglass.stop_streaming()
    assert shared_supervisor().pid == pid
    assert threading.active_count() <= threads
    assert open_descriptors() <= ours
    wait_for(lambda: open_descriptors(pid or 0) <= theirs + 2)


def test_starts_and_stops_from_many_threads() -> None:
    """Whatever the order, nothing raises, hangs or stays, and the last call counts."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
    errors: list[str] = []

    def life(number: int) -> None:
        try:
            for step in range(6):
                if (step + number) % 2:
                    spyglass.start_streaming()
                else:
                    spyglass.stop_streaming()
                spyglass.put(frame())
                spyglass.stats()
        except BaseException:  # noqa: BLE001 - shown below
            errors.append(traceback.format_exc())

    threads = [threading.Thread(target=life, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert errors == []
    spyglass.start_streaming()
    assert wait_for(lambda: spyglass.put(frame()))
    spyglass.stop_streaming()
    assert spyglass.state is State.STOPPED


def test_a_stop_ends_a_start_that_still_waits() -> None:
    """While the streaming process is stuck, a start waits and a stop does not wait for it."""
    with streaming(watcher()) as other:
        pid = other.stats().streamer_pid or 0
        os.kill(pid, 19)
        try:
            spyglass = SpyGlass(watcher())
            start = threading.Thread(target=spyglass.start_streaming)
            start.start()
            wait_for(lambda: spyglass.state is State.START_WARMUP)
            begun = time.monotonic()
            spyglass.stop_streaming(timeout=0.5)
            assert time.monotonic() - begun < 5
            start.join(5)
            assert not start.is_alive()
            assert spyglass.state is State.STOPPED
        finally:
            os.kill(pid, 18)


def test_several_streams_share_one_streaming_process() -> None:
    """One is stopped, the other goes on; the process ends some time after the last."""
    with streaming(watcher()) as one:
        with streaming(watcher()) as two:
            assert one.stats().streamer_pid == two.stats().streamer_pid
            wait_for(lambda: two.put(frame()) and two.stats().encoded)
        encoded = one.stats().encoded
        wait_for(lambda: one.put(frame()) and one.stats().encoded > encoded)
        assert one.stats().starts == shared_supervisor().starts


def test_a_stop_delivers_what_was_put_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last frame before a stop is in the recording."""
    # On a busy machine the streaming process, which steps behind, may not run for a second.
    monkeypatch.setattr("backpack._app.stream.DRAIN_SECONDS", 20.0)
    path = tmp_path / "out.h264"
    sink = GstSink(f"h264parse ! filesink location={path}", repeats=False)
    with streaming(sink, fps=240) as spyglass:
        watched(spyglass)
        wait_for(lambda: spyglass.stats().encoded)
        # Put while the encoder is at its work: it must not be lost to the stop.
        accepted = [wait_for(lambda v=v: spyglass.put(frame(value=v))) for v in (10, 240)]
        assert all(accepted)
        spyglass.stop_streaming(timeout=20)
    import cv2  # noqa: PLC0415 - of these tests alone

    capture = cv2.VideoCapture(str(path))
    last = None
    while True:
        ok, image = capture.read()
        if not ok:
            break
        last = image
    capture.release()
    assert last is not None
    assert last.mean() == pytest.approx(240, abs=5)


def test_when_nobody_watches_any_more_there_is_no_rate() -> None:
    """Neither after the last viewer nor after a stop; what was counted stays."""
    with streaming(watcher()) as spyglass, putting(spyglass):
        # The card alone has a rate, too.
        wait_for(lambda: spyglass.stats().fps > 0 and spyglass.stats().encoded)
    stats = spyglass.stats()
    assert (stats.fps, stats.bitrate_kbps, stats.viewers, stats.encoder) == (0, 0, 0, None)
    assert stats.encoded


def test_stats_are_numbers_for_json() -> None:
    """Every number has a name, and the dictionary can be written down."""
    import json  # noqa: PLC0415 - of this test alone

    with streaming(watcher()) as spyglass, putting(spyglass):
        wait_for(lambda: spyglass.stats().encoded > 5)
        wait_for(lambda: spyglass.stats().bitrate_kbps > 0)
        numbers = json.loads(json.dumps(spyglass.stats().to_dict()))
    assert numbers["encoder"]
    assert (numbers["width"], numbers["height"], numbers["viewers"]) == (320, 240, 1)
    assert numbers["streamer_cpu_seconds"] > 0
    assert 0 < numbers["put_ms_p50"] <= numbers["put_ms_p99"] <= numbers["put_ms_max"]


# --- mistakes and missing things --------------------------------------------------


def test_an_output_that_cannot_be_opened_raises() -> None:
    """The first start tells; what was opened before it is closed again, and another start works."""
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door", GstSink("nosuchelement"))
    for _ in range(2):
        with pytest.raises(PipelineError, match="nosuchelement"):
            spyglass.start_streaming()
        assert spyglass.state is State.STOPPED
        assert "nosuchelement" in (spyglass.stats().error or "")
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door")
    with spyglass:
        assert spyglass.state is State.WARMUP


def test_an_encoder_that_is_not_there_raises() -> None:
    """A pinned encoder that cannot be had is told at the start."""
    with pytest.raises(EncoderError, match="nosuchenc"):
        SpyGlass(watcher(), encoder="nosuchenc").start_streaming()


def test_disabled_it_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """BACKPACK_DISABLE=1: no process, no error, and the state says why."""
    monkeypatch.setenv("BACKPACK_DISABLE", "1")
    before = set(threads_named("spyglass"))
    spyglass = SpyGlass("rtsp://127.0.0.1:0/door", GstSink("nosuchelement"), required=True)
    with spyglass:
        assert not spyglass.put(frame())
        assert not spyglass.put(None)  # type: ignore[arg-type]
        assert spyglass.state is State.STOPPED
        assert "BACKPACK_DISABLE" in spyglass.state_reason
        assert shared_supervisor().pid is None
        # Those that other tests have left hanging are not its own.
        assert set(threads_named("spyglass")) <= before


@pytest.fixture(params=["nowhere", "no gi"])
def no_python(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Leave the streaming process no Python that could stream."""
    python = tmp_path / "python3"
    if request.param == "no gi":
        # As a venv without system packages would be.
        python.write_text('#!/bin/sh\nshift; exec /usr/bin/env python3 -S -I "$@"\n')
        python.chmod(0o755)
    monkeypatch.setenv("BACKPACK_PYTHON", str(python))


@pytest.mark.usefixtures("no_python")
@pytest.mark.parametrize("output", ["rtsp://127.0.0.1:0/door", "sink"])
def test_required_it_raises_where_nothing_can_stream(
    output: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says what to install, and no line of the log says it before."""
    caplog.set_level(logging.INFO)
    given = watcher() if output == "sink" else output
    spyglass = SpyGlass(given, required=True)
    with pytest.raises(MissingDependencyError, match=r"apt install .*python3-gst-1\.0"):
        spyglass.start_streaming()
    assert spyglass.state is State.STOPPED
    assert "python3" not in caplog.text


@pytest.mark.usefixtures("no_python")
@pytest.mark.parametrize("output", ["rtsp://127.0.0.1:0/door", "sink"])
def test_otherwise_it_is_said_once_and_tried_again(
    output: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application goes on; when something has been installed, the stream comes up."""
    given = watcher() if output == "sink" else output
    caplog.set_level(logging.WARNING)
    with streaming(given) as spyglass:
        assert spyglass.state is State.ERROR
        assert "apt install" in spyglass.state_reason
        assert not spyglass.put(frame())
        assert spyglass.stats().away == 1
        assert stays_true(lambda: spyglass.state is State.ERROR, 1.5)
        said = [one for one in caplog.records if "cannot stream" in one.getMessage()]
        assert len(said) == 1
        monkeypatch.delenv("BACKPACK_PYTHON")
        wait_for(lambda: spyglass.put(frame()))
        assert spyglass.state is State.STREAMING


# --- forks and ends ---------------------------------------------------------------


def test_after_a_fork_the_child_is_told() -> None:
    """StateError in the child, whose own SpyGlass works; the parent's goes on as before."""
    out = run_app(
        f"""
import os, sys, time, threading
sys.path.insert(0, {str(Path.cwd())!r})
from tests.apps import *
from backpack.errors import StateError
from backpack.rtsp import RTSPServer
server = RTSPServer(0)
server.start()
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
spyglass.start_streaming()
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 2)
before = spyglass.stats()
# Locks that other threads hold at the fork.
locks = (spyglass._life, spyglass._stream._lock, spyglass._frames._lock)
[lock.acquire() for lock in locks]
child = os.fork()
if not child:
    for call in (spyglass.start_streaming, lambda: spyglass.put(frame()), server.start):
        try:
            call()
        except StateError as error:
            assert "forked" in str(error)
        else:
            raise SystemExit("no StateError")
    spyglass.stop_streaming(); spyglass.stats(); server.stop()
    open_now = [Path(f"/proc/self/fd/{{fd}}") for fd in os.listdir("/proc/self/fd")]
    assert not [fd for fd in open_now if fd.is_symlink() and "memfd" in str(fd.readlink())]
    own = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
    own.start_streaming()
    wait_for(lambda: own.put(frame()) and own.stats().encoded > 2)
    assert own.stats().streamer_pid != before.streamer_pid
    own.stop_streaming()
    sys.exit(0)
[lock.release() for lock in locks]
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
encoded = spyglass.stats().encoded
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > encoded + 2)
assert spyglass.stats().streamer_pid == before.streamer_pid
spyglass.stop_streaming()
print("good")
"""
    )
    assert out.strip() == "good"


def test_an_application_that_forgets_to_stop_ends_promptly() -> None:
    """No stop_streaming() at the end: the application ends, and so does the streaming process."""
    with start_app(
        f"""
import sys
sys.path.insert(0, {str(Path.cwd())!r})
from tests.apps import *
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
spyglass.start_streaming()
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 2)
print(spyglass.stats().streamer_pid, flush=True)
"""
    ) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        begun = time.monotonic()
        _, err = app.communicate(timeout=100)
        assert time.monotonic() - begun < 20
    assert app.returncode == 0, err
    wait_for(lambda: not is_running(pid))


def test_every_error_is_a_backpack_error() -> None:
    """Whoever wants to can catch them all; each is the builtin that one would expect as well."""
    for error, builtin in (
        (FrameError, ValueError),
        (SettingsError, ValueError),
        (StateError, RuntimeError),
        (MissingDependencyError, ImportError),
        (PipelineError, RuntimeError),
        (ShortageError, OSError),
    ):
        assert issubclass(error, BackpackError)
        assert issubclass(error, builtin)
