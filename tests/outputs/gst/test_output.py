from __future__ import annotations

import contextlib
import itertools
import json
import logging
import re
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest

from backpack._gst.gi import Gst
from backpack._ipc.ring import _WORD_SHOWN
from backpack.errors import PipelineError, SettingsError
from backpack.push import GstSink
from tests.apps import State, frame, nothing_left_behind, putting, streaming, watcher
from tests.streams import launch
from tests.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


def probe(path: Path) -> list[dict[str, Any]]:
    """Decode a file with ffmpeg's library, and give what it says of each picture."""
    done = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-of", "json", "-show_frames"),
            *("-show_entries", "frame=pts_time,key_frame,width,height,pict_type", str(path)),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not done.stderr, done.stderr
    return list(json.loads(done.stdout)["frames"])


@pytest.mark.parametrize("text", ["", "  ", "!", " ! \n", None, 5])
def test_an_empty_pipeline_is_refused(text: Any) -> None:
    """The error shows what a pipeline looks like."""
    with pytest.raises(SettingsError, match="h264parse"):
        GstSink(text)


def test_it_describes_itself_without_its_place() -> None:
    """Its representation, which ends up in logs, shows no login."""
    sink = GstSink(" ! h264parse ! rtspclientsink location=rtsp://user:secret@host/x ")
    assert "secret" not in repr(sink)
    assert sink.describe() == {
        "kind": "gstreamer",
        "pipeline": "h264parse ! rtspclientsink location=rtsp://user:secret@host/x",
        "repeats": True,
    }
    assert sink.urls() == []


def test_a_transport_stream_holds_every_frame(tmp_path: Path) -> None:
    """What was encoded is in the file, once each, and decodes from its first picture."""
    path = tmp_path / "out.ts"
    sink = GstSink(f"h264parse ! mpegtsmux ! filesink location={path}", repeats=False)
    with streaming(sink) as spyglass, putting(spyglass, fps=20):
        wait_for(lambda: spyglass.stats().encoded >= 40)
    stats = spyglass.stats()
    pictures = probe(path)

    assert pictures[0]["key_frame"] == 1
    assert {(one["width"], one["height"]) for one in pictures} == {(320, 240)}
    assert "B" not in {one["pict_type"] for one in pictures}
    # Those encoded after the last report are in the file and not in the number.
    assert stats.encoded <= len(pictures) <= stats.accepted
    times = [float(one["pts_time"]) for one in pictures]
    assert times == sorted(set(times))


def test_times_in_the_file_are_those_of_the_frames(tmp_path: Path) -> None:
    """Frames with timestamps of their own are as far apart in the file."""
    path = tmp_path / "out.mkv"
    sink = GstSink(f"h264parse ! matroskamux ! filesink location={path}", repeats=False)
    gaps = [0.1, 0.3, 0.05, 0.2, 0.15, 0.1]

    def put(captured: float) -> None:
        # As soon as it is taken, which is later where fewer frames are asked for; the next one
        # must not replace it.
        wait_for(lambda: spyglass.put(frame(), timestamp=captured), every=0.001)
        writer = spyglass._frames._writer
        assert writer is not None
        wait_for(lambda: writer.ring.words[_WORD_SHOWN] == writer.next_number - 1, every=0.001)

    # openh264enc numbers its parameter sets anew at each key frame, which Matroska refuses.
    with streaming(sink, fps=240, encoder="x264enc") as spyglass:
        wait_for(lambda: spyglass._frames.is_wanted or not spyglass.put(frame()))
        wait_for(lambda: spyglass.stats().encoder)
        put_at = [time.time()]
        put(put_at[-1])
        for gap in gaps:
            due = put_at[-1] + gap
            wait_for(lambda due=due: time.time() >= due, every=0.001)
            put(due)
            put_at.append(due)
    times = [float(one["pts_time"]) for one in probe(path)][-len(gaps) - 1 :]
    found = [b - a for a, b in itertools.pairwise(times)]

    assert found == pytest.approx(gaps, abs=0.002)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nosuchelement", "nosuchelement"),
        ("h264parse ! filesink nosuchproperty=1", "nosuchproperty"),
        ("h264parse ! ! fakesink", "syntax"),
        ("h264parse ! jpegdec ! fakesink", "link"),
        ("h264parse", ""),
    ],
)
def test_a_pipeline_that_cannot_be_is_told_at_the_start(text: str, says: str) -> None:
    """PipelineError from start_streaming(), with GStreamer's reason."""
    with contextlib.ExitStack() as end:
        try:
            spyglass = end.enter_context(streaming(GstSink(text)))
        except PipelineError as error:
            assert says in str(error)  # noqa: PT017 - one text is no error
        else:
            # GStreamer takes a pipeline whose end hangs in the air, and fails with the first data.
            assert text == "h264parse"
            wait_for(lambda: spyglass.put(frame()))


def test_a_sink_that_fails_is_started_again_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk, a lost connection: that output alone, with back-off."""
    caplog.set_level(logging.WARNING, "backpack")
    path = tmp_path / "out.ts"
    # No named pipe: until somebody reads it, opening it again would hold up all streams.
    server = socket.create_server(("127.0.0.1", 0))
    address = server.getsockname()
    bad = GstSink(f"h264parse ! tcpclientsink host=127.0.0.1 port={address[1]} sync=false")
    good = GstSink(f"h264parse ! mpegtsmux ! filesink location={path}")
    with streaming(bad, good) as spyglass, putting(spyglass):
        wait_for(lambda: spyglass.stats().viewers == 2)
        # Nobody reads any more: writing fails, and so does connecting again.
        server.settimeout(PATIENCE)
        connection, _ = server.accept()
        server.close()
        connection.close()
        wait_for(lambda: spyglass.stats().viewers == 1)
        encoded = spyglass.stats().encoded
        wait_for(lambda: spyglass.stats().encoded > encoded + 10)
        assert spyglass.state is State.STREAMING
        wait_for(lambda: "refused" in caplog.text)
        with socket.create_server(address) as server:
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
        wait_for(lambda: spyglass.stats().viewers == 2)
        connection.settimeout(PATIENCE)
        assert connection.recv(4, socket.MSG_WAITALL) == b"\0\0\0\1"
    connection.close()
    assert len(probe(path)) > 20


def test_a_sink_that_takes_nothing_costs_the_others_nothing(tmp_path: Path) -> None:
    """One that stands still loses pictures, and is not waited for."""
    path = tmp_path / "out.ts"
    stuck = GstSink("h264parse ! identity sleep-time=3600000000 ! fakesink")
    good = GstSink(f"h264parse ! mpegtsmux ! filesink location={path}")
    with streaming(good) as other:
        pid = other.stats().streamer_pid
        with streaming(stuck, watcher(), fps=240) as spyglass, putting(spyglass, fps=200):
            wait_for(lambda: spyglass.stats().lost > 10)
            encoded = spyglass.stats().encoded
            wait_for(lambda: spyglass.stats().encoded > encoded + 20)
        # It cannot even be stopped; the others neither wait for it nor end with it.
        encoded = other.stats().encoded
        wait_for(lambda: other.put(frame()) and other.stats().encoded > encoded + 5)
        assert other.stats().streamer_pid == pid
    assert len(probe(path)) > 5


def test_while_it_is_open_the_stream_is_encoded() -> None:
    """It counts as a viewer."""
    with streaming(watcher()) as spyglass:
        wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 3)
        assert spyglass.stats().viewers == 1


def documented(sink: str) -> str:
    """Find the pipeline with that sink in the class's own documentation."""
    found = re.search(rf'GstSink\("([^"]*{sink}[^"]*)"\)', GstSink.__doc__ or "")
    assert found is not None
    return found.group(1)


def test_the_documented_srt_pipeline_decodes_at_its_far_side() -> None:
    """What SRT delivers begins with parameter sets, and pictures come out of a decoder."""
    port = free_udp_port()
    pipeline = re.sub(r"uri=\S+", f"uri=srt://127.0.0.1:{port}", documented("srtsink"))
    far_side = launch(
        f"srtsrc uri=srt://127.0.0.1:{port}?mode=listener ! tsdemux ! h264parse ! avdec_h264 "
        "! appsink name=sink sync=false"
    )
    far_side.set_state(Gst.State.PLAYING)
    try:
        with streaming(GstSink(pipeline)) as spyglass, putting(spyglass):
            for _ in range(10):
                sample = far_side.get_by_name("sink").try_pull_sample(20 * Gst.SECOND)
                assert sample is not None, "nothing was decoded"
    finally:
        far_side.set_state(Gst.State.NULL)


def free_udp_port() -> int:
    """Find a port that nobody has at the moment: SRT does not tell which one it took."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
