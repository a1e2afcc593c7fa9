"""Clients that are not ours decode real frames and read the numbers in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.clients import ffmpeg_frames
from tests.end_to_end.viewers import Ffmpeg, to_bgr
from tests.numbered import read
from tests.waiting import wait_for

if TYPE_CHECKING:
    from backpack.spyglass import SpyGlass
    from tests.end_to_end.conftest import Stage

CLIP = Path(__file__).parents[2] / "examples/people/pedestrians.mp4"
CLIP_SIZE = (768, 576)
NOBODY = "65534"


def assert_follows(numbers: list[int | None], last: int) -> None:
    """See that all were read, none goes back, and that they are numbers that were put."""
    assert None not in numbers
    known = [number for number in numbers if number is not None]
    assert known == sorted(known)
    assert 1 <= known[0] <= known[-1] <= last
    assert len(set(known)) > len(known) / 3


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_gstreamer_reads_the_numbers(stage: Stage, protocol: str) -> None:
    """GStreamer's rtspsrc sees frames as they were put, in order."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass)
    putter.put()
    putter.start(30)
    viewer = stage.viewer(spyglass.urls()[0], protocols=protocol)

    viewer.wait(40)

    assert_follows([read(one.data) for one in viewer.frames], putter.last)


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_ffmpeg_reads_the_numbers(stage: Stage, protocol: str) -> None:
    """So does ffmpeg, with nothing but its defaults."""
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass)
    putter.put()
    putter.start(30)

    pictures = ffmpeg_frames(spyglass.urls()[0], 40, protocol=protocol)

    assert_follows([read(one) for one in pictures], putter.last)


def speaks_rtsp() -> bool:
    """Tell whether a VLC is here that has an RTSP client."""
    if shutil.which("cvlc") is None:
        return False
    listed = subprocess.run(
        as_nobody("cvlc", "--list"), capture_output=True, text=True, check=False
    )
    return "live555" in listed.stdout


def as_nobody(*command: str) -> list[str]:
    """Run as another user where we are root: VLC refuses root."""
    if os.geteuid():
        return list(command)
    return ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "env", "HOME=/tmp", *command]


@pytest.mark.skipif(
    not speaks_rtsp(),
    reason="no VLC with an RTSP client: Debian builds VLC without live555, which it does not have",
)
def test_vlc_reads_the_numbers(stage: Stage, tmp_path: Path) -> None:
    """
    VLC receives frames that ffmpeg then reads from its recording.

    Skipped with Debian 12's own VLC: it is built without live555, its only RTSP client
    (`cvlc --list` names "Real RTSP" and "SAT>IP" alone, which are other protocols).
    """
    spyglass = stage.spyglass()
    putter = stage.putter(spyglass, fps=30)
    tmp_path.chmod(0o777)
    recording = tmp_path / "recording.ts"
    subprocess.run(
        as_nobody(
            *("cvlc", "--play-and-exit", "--run-time=5", spyglass.urls()[0]),
            *("--sout", f"#std{{access=file,mux=ts,dst={recording}}}", "vlc://quit"),
        ),
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert_follows([read(one) for one in ffmpeg_frames(str(recording), 20)], putter.last)


def clip_frames(count: int) -> Any:
    """Decode the clip's first frames with ffmpeg."""
    width, height = CLIP_SIZE
    done = subprocess.run(
        [
            *("ffmpeg", "-loglevel", "error", "-nostdin", "-i", str(CLIP)),
            *("-frames:v", str(count), "-f", "rawvideo", "-pix_fmt", "bgr24", "-"),
        ],
        capture_output=True,
        check=True,
    )
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


def play(spyglass: SpyGlass, frames: Any, fps: float) -> list[int]:
    """Put frames at a rate; say which were taken."""
    taken = []
    for number, frame in enumerate(frames):
        if spyglass.put(frame):
            taken.append(number)
        time.sleep(1 / fps)
    return taken


def test_a_real_clip_is_seen_as_it_is(stage: Stage) -> None:
    """What ffmpeg decodes of a street scene is what was put, frame by frame, in order."""
    frames = clip_frames(60)
    small = frames[:, ::8, ::8].astype(int)

    def differences(picture: Any) -> Any:
        return np.abs(small - to_bgr(picture, "smpte170m")[::8, ::8]).mean(axis=(1, 2, 3))

    spyglass = stage.spyglass()
    show = stage.show(spyglass, frames[0])
    with Ffmpeg(spyglass.urls()[0], "tcp", "-threads", "1") as viewer:
        viewer.wait(1)
        show.close()
        seen_before = len(viewer.pictures)
        taken = play(spyglass, frames[1:], 15)
        # The repeats after the end show the last frame: however far behind it is, a viewer
        # sees that. ffmpeg's decoder and its output hold one picture back each.
        wait_for(
            lambda: differences(viewer.pictures[-1]).argmin() == taken[-1] + 1,
            every=0.2,
            what="the last frame",
        )

    order, noises = [], []
    for picture in viewer.pictures[seen_before:]:
        distances = differences(picture)
        order.append(int(distances.argmin()))
        noises.append(float(distances.min()))
    print(f"{len(order)} pictures, {max(noises):.1f} levels of noise at most")  # noqa: T201
    assert order == sorted(order)
    assert order[-1] == taken[-1] + 1
    assert len(set(order)) >= len(taken) // 2
    assert max(noises) < 12
