"""Every player, recorder and pipeline that docs/rtsp.md names is run as it stands there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from backpack.push import GstSink
from tests.apps import putting, streaming
from tests.outputs.gst.far_sides import free_port, listening
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backpack.spyglass import SpyGlass

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "rtsp.md").read_text()
ADDRESS = "rtsp://192.0.2.10:8554/door"
# What a machine without a screen needs besides; nothing of it concerns the stream.
SCREENLESS = {"mpv": ["--vo=null"], "ffplay": ["-an"]}
COMMANDS = [line for line in re.findall(r"^\$ (.+)$", TEXT, re.MULTILINE) if ADDRESS in line]
LOOK = [line for line in COMMANDS if not line.startswith("ffmpeg")]
RECORD = [line for line in COMMANDS if line.startswith("ffmpeg")]
PIPELINES = re.findall(
    r'GstSink\("([^"]+)"',
    TEXT + (ROOT / "README.md").read_text() + (GstSink.__doc__ or ""),
)
FAR_SIDES = {"srtsink": "srt", "rtspclientsink": "rtsp", "rtmp2sink": "rtmp"}


@pytest.fixture(scope="module")
def stream() -> Iterator[SpyGlass]:
    """Stream for all that look."""
    with streaming("rtsp://127.0.0.1:0/door") as spyglass, putting(spyglass):
        yield spyglass


def words_of(line: str, stream: SpyGlass) -> list[str]:
    """Return a documented command for the stream's own address."""
    words = shlex.split(line.replace(ADDRESS, stream.urls()[0]))
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    words[1:1] = SCREENLESS.get(words[0], [])
    return ["fakesink" if word == "autovideosink" else word for word in words]


def test_they_are_found() -> None:
    """The document shows some of each; else nothing below would be tested."""
    assert (len(LOOK), len(RECORD)) >= (3, 3)
    assert FAR_SIDES.keys() | {"filesink"} <= {sink_of(one) for one in PIPELINES} | {"filesink"}


@pytest.mark.parametrize("line", LOOK, ids=lambda line: line.split()[0])
def test_a_player_plays(line: str, stream: SpyGlass) -> None:
    """It is a viewer, takes pictures, and goes on."""
    wait_for(lambda: not stream.stats().viewers)
    player = subprocess.Popen(
        words_of(line, stream),
        env={**os.environ, "SDL_VIDEODRIVER": "dummy"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(lambda: stream.stats().viewers or player.poll() is not None)
        encoded = stream.stats().encoded
        wait_for(lambda: stream.stats().encoded > encoded + 60)
        assert player.poll() is None
        assert stream.stats().viewers
    finally:
        player.send_signal(signal.SIGINT)
        try:
            player.wait(10)
        except subprocess.TimeoutExpired:
            player.kill()
            player.wait()


def probe(path: Path) -> list[dict[str, Any]]:
    """Decode a file, and return what there is to say of each picture."""
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_frames", "-of", "json", str(path)],
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return list(json.loads(done.stdout)["frames"])


@pytest.mark.parametrize("line", RECORD, ids=lambda line: line.split()[-1])
def test_a_recorder_records(line: str, stream: SpyGlass, tmp_path: Path) -> None:
    """What it has written decodes from its first picture."""
    words = [word if word != "10" else "3" for word in words_of(line, stream)]
    done = subprocess.run(
        [*words[:1], "-v", "warning", *words[1:]],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files = sorted(tmp_path.iterdir())
    assert files
    for path in files:
        frames = probe(path)
        assert frames
        assert (frames[0]["key_frame"], frames[0]["width"]) == (1, 320)


def test_frigates_arguments_are_taken(stream: SpyGlass, tmp_path: Path) -> None:
    """They are ffmpeg's, which records as Frigate has it do."""
    found = re.search(r"input_args: (.+)$", TEXT, re.MULTILINE)
    assert found is not None
    path = tmp_path / "door.mp4"
    command = [
        *("ffmpeg", "-v", "warning", *found[1].split(), "-i", stream.urls()[0]),
        *("-c", "copy", "-t", "2", str(path)),
    ]
    subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)
    assert len(probe(path)) > 20


def sink_of(pipeline: str) -> str:
    """Return the last element of a pipeline."""
    return pipeline.rpartition("!")[2].split()[0]


@pytest.mark.parametrize("pipeline", PIPELINES, ids=sink_of)
def test_a_documented_pipeline_delivers(pipeline: str, tmp_path: Path) -> None:
    """Its far side decodes pictures from the first one on."""
    kind = FAR_SIDES.get(sink_of(pipeline))
    if kind is None:
        assert sink_of(pipeline) == "filesink", "a pipeline that is not tried"
        path = tmp_path / "door.mkv"
        text = pipeline.replace("door.mkv", str(path))
        sink = GstSink(text, repeats=False)
        with streaming(sink, encoder="x264enc") as one, putting(one):
            wait_for(lambda: one.stats().encoded > 20)
        assert len(probe(path)) > 10
        return
    port = free_port(kind)
    # README leaves the address out.
    text = pipeline.replace("uri=…", "uri=srt://192.0.2.7:9000")
    text = re.sub(r"(?<=://)192\.0\.2\.7(:\d+)?", f"127.0.0.1:{port}", text)
    with listening(kind, port) as far_side, streaming(GstSink(text)) as one, putting(one):
        wait_for(lambda: far_side.pictures > 10)
