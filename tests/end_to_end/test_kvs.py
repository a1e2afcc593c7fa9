"""What an application puts is in Kinesis Video Streams, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import os
import re
import signal
import sys
import time
import types
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.output import KVSOutput
from backpack.errors import OutputError, SettingsError, StateError
from backpack.kvs import KVSSpyGlass
from backpack.spyglass import SpyGlass
from tests.clients import RtspClient
from tests.end_to_end.kvs import REGION, ShortLived, arrived, is_streaming, kvs, taken
from tests.kvs_server.faults import Connections, HttpError
from tests.kvs_server.proxy import ConnectProxy
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.kvs_server.tls import context_of, make_certificate
from tests.numbered import numbered, read
from tests.waiting import is_running, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.end_to_end.apps import App
    from tests.end_to_end.conftest import Stage
    from tests.kvs_server.streams import Stream

State = SpyGlass.State

EXAMPLE = """
import panoramasdk
from backpack.kvs import KVSSpyGlass, KVSFileCredentialsHandler

# You might want to read these values from Panorama application parameters
stream_region = 'us-east-1'
stream_name = 'panorama-video'

# The example Dockerfile writes static configuration variables to this file
# If you change the .env file path in the Dockerfile, you should change it also here
DOTENV_PATH = '/panorama/.env'

class Application(panoramasdk.node):

    def __init__(self):
        super().__init__()
        # ...
        credentials_handler = KVSFileCredentialsHandler()
        self.spyglass = KVSSpyGlass(
            stream_region=stream_region,
            stream_name=stream_name,
            credentials_handler=credentials_handler,
            dotenv_path=DOTENV_PATH
        )
        # This call opens the streaming pipeline:
        self.spyglass.start_streaming()

    # called from video processing loop:
    def process_streams(self):
        streams = self.inputs.video_in.get()

        for idx, stream in enumerate(streams):

            # Process the stream, for example with:
            # self.process_media(stream)

            # TODO: eventually multiplex streams to a single frame
            if idx == 0:
                self.spyglass.put(stream.image)
"""


def test_the_example_of_the_specification_runs_as_it_stands(
    server: KVSServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An application of the original streams without a change, and without its `.env`."""
    stream = server.streams.add("panorama-video")
    panoramasdk = types.ModuleType("panoramasdk")
    panoramasdk.node = type("node", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "panoramasdk", panoramasdk)
    names: dict[str, Any] = {}
    exec(compile(EXAMPLE, "application.py", "exec"), names)
    application = names["Application"]()
    media = types.SimpleNamespace(image=None)
    video_in = types.SimpleNamespace(get=lambda: [media])
    application.inputs = types.SimpleNamespace(video_in=video_in)

    try:
        for number in range(1, 46):
            media.image = numbered(number)
            application.process_streams()
            time.sleep(1 / 30)
    finally:
        application.spyglass.stop_streaming()

    numbers = arrived(stream)
    assert numbers == sorted(numbers, key=lambda number: number or 0)
    stats = application.spyglass.stats()
    assert stats.put == 45
    # Every frame but those that came faster than 30 a second, and from the very first one on.
    assert len(numbers) == 45 - stats.not_due - stats.replaced - stats.torn
    assert "/panorama/.env" in caplog.text


def test_one_encode_serves_viewers_and_kvs(server: KVSServer, stream: Stream, stage: Stage) -> None:
    """A URL is enough for KVS, and a viewer over RTSP sees the same frames meanwhile."""
    spyglass = stage.spyglass("rtsp://127.0.0.1:0/door", f"kvs://{REGION}/test")
    putter = stage.putter(spyglass, 30)
    viewer = stage.viewer(spyglass.urls()[0])
    seen = [read(one.data) for one in viewer.wait_more(30, 20)]
    wait_for(lambda: spyglass.stats().outputs[1]["fragments_persisted"])

    putter.stop()
    spyglass.stop_streaming()

    assert set(seen) - {None} <= set(arrived(stream))
    assert spyglass.urls()[1] == f"kvs://{REGION}/test"
    assert server.requests[:3] == [
        ("/describeStream", 200),
        ("/getDataEndpoint", 200),
        ("/putMedia", 200),
    ]


def test_what_is_put_in_an_outage_is_not_lost(
    server: KVSServer, stream: Stream, stage: Stage
) -> None:
    """While the server is gone, hangs or resets, video waits: persisted = put - replaced."""
    spyglass = kvs(stage)
    putter = stage.putter(spyglass, 30)
    wait_for(lambda: is_streaming(spyglass))

    server.refuse()
    wait_for(
        lambda: (
            spyglass.kvs_stats().buffered_seconds > 2 and spyglass.kvs_stats().state == "BUFFERING"
        )
    )
    server.listen()
    before = stream.persisted()
    wait_for(lambda: stream.persisted() > before + 2)
    server.faults.reset_after_blocks, server.faults.resets = 10, 2
    wait_for(lambda: server.faults.resets == 0)
    before = stream.persisted()
    wait_for(lambda: stream.persisted() > before + 1)
    putter.stop()
    spyglass.stop_streaming()

    stats = spyglass.stats()
    numbers = arrived(stream)
    assert numbers == sorted(numbers)  # type: ignore[type-var]
    assert len(numbers) == len(set(numbers)) == stats.put - stats.not_due - stats.replaced
    told = spyglass.kvs_stats()
    assert told.frames_persisted == len(numbers)
    assert told.fragments_resent > 0
    assert sum(told.reconnects.values()) >= 3
    assert stats.state == "STOPPED"
    assert not putter.failures


@pytest.mark.parametrize("keeps", [False, True])
def test_a_killed_streaming_process_loses_what_was_not_persisted_unless_it_is_kept(
    server: KVSServer,
    stream: Stream,
    stage: Stage,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    keeps: bool,
) -> None:
    """After SIGKILL the log says what is gone; with buffer_path nothing of what was taken is."""
    # On a busy machine the streaming process, which steps behind, may not run for a second.
    monkeypatch.setattr("backpack._app.stream.DRAIN_SECONDS", 20.0)
    spyglass = kvs(stage, buffer_path=tmp_path / "buffer" if keeps else None)
    putter = stage.putter(spyglass, 30)
    wait_for(lambda: is_streaming(spyglass))
    server.refuse()
    wait_for(lambda: spyglass.kvs_stats().buffered_seconds > 1.5)
    # Until what was put by now has been taken, or was replaced, and that was told.
    last = putter.last
    wait_for(lambda: last in putter.puts)
    accepted = spyglass.stats().accepted
    wait_for(lambda: spyglass.stats().encoded + spyglass.stats().replaced >= accepted)
    encoded = spyglass.stats().encoded
    wait_for(lambda: spyglass.kvs_stats().frames_taken >= encoded)
    pid = spyglass.stats().streamer_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: spyglass.stats().starts > 1 and spyglass.state is State.STREAMING)
    server.listen()
    # A frame from before that is old by now is shown to viewers, and recorded no more.
    encoded = spyglass.stats().encoded
    wait_for(lambda: spyglass.stats().encoded > encoded + 1 and is_streaming(spyglass))
    putter.stop()
    spyglass.stop_streaming(timeout=30)

    numbers = [number for number in arrived(stream) if number is not None]
    missing = {number for number in taken(putter) if number <= last} - set(numbers)
    assert len(numbers) == len(set(numbers))
    assert max(taken(putter)) in numbers
    assert ("They are in buffer_path" if keeps else "They are lost") in caplog.text
    if keeps:
        assert len(missing) <= spyglass.stats().replaced
    else:
        assert missing


def test_a_killed_application_is_survived_by_what_it_put(stream: Stream, stage: Stage) -> None:
    """After SIGKILL everything from up to 0.2 s before arrives, and the streaming process ends."""
    settings = {"stream_region": REGION, "stream_name": "test", "fragment_seconds": 1.0}
    app = stage.app(30, "--kvs", json.dumps(settings))
    last = taken_until(app)
    numbers = app.numbers()
    time.sleep(0.2)  # what the row of the table says

    app.signal(signal.SIGKILL)
    app.wait()
    wait_for(lambda: not is_running(numbers["streamer_pid"]), 40, what="its end")

    seen = Counter(arrived(stream))
    assert set(seen.values()) == {1}
    missing = set(range(1, last + 1)) - set(seen)
    assert len(missing) <= numbers["not_due"] + numbers["replaced"]
    # Of what was put since then nobody was told what was replaced; but by what is known.
    assert max(number or 0 for number in seen) >= numbers["last"]
    wait_for(lambda: stream.sessions[-1].ended)


def taken_until(app: App) -> int:
    """Give a number up to which all frames are known to be taken, or not due, or replaced."""
    last = app.wait_for_numbers(lambda told: told["outputs"][0].get("fragments_persisted"))["last"]
    accepted = app.wait_for_numbers(lambda told: told["put"] >= last)["accepted"]
    # The streaming process tells its numbers once a second, or later.
    told = app.wait_for_numbers(lambda told: told["encoded"] + told["replaced"] >= accepted)
    app.wait_for_numbers(lambda now: now["outputs"][0]["frames_taken"] >= told["encoded"])
    return int(last)


def test_a_killed_application_leaves_a_spare_signature(
    server: KVSServer, stream: Stream, stage: Stage
) -> None:
    """A connection that breaks after the application's death is replaced by one signed before."""
    settings = {"stream_region": REGION, "stream_name": "test", "fragment_seconds": 1.0}
    app = stage.app(30, "--kvs", json.dumps(settings))
    last, numbers = taken_until(app), app.numbers()
    # The last connection's data are not answered, so the flush has to connect anew.
    server.refuse()
    app.signal(signal.SIGKILL)
    app.wait()

    server.listen()

    wait_for(lambda: not is_running(numbers["streamer_pid"]), 40, what="its end")
    missing = set(range(1, last + 1)) - set(arrived(stream))
    assert len(missing) <= numbers["not_due"] + numbers["replaced"]


@pytest.mark.parametrize("keeps", [False, True])
def test_a_killed_application_has_what_is_lost_in_its_standard_error(
    server: KVSServer, stage: Stage, tmp_path: Path, *, keeps: bool
) -> None:
    """Nobody else reads what the streaming process says then: one line counts, and no secret."""
    settings = {"stream_region": REGION, "stream_name": "test", "fragment_seconds": 1.0}
    if keeps:
        settings["buffer_path"] = str(tmp_path / "buffer")
    told = tmp_path / "stderr"
    app = stage.app(30, "--kvs", json.dumps(settings), stderr=told)
    app.wait_for_numbers(lambda numbers: numbers["outputs"][0].get("fragments_persisted"))
    server.refuse()
    numbers = app.wait_for_numbers(
        lambda numbers: numbers["outputs"][0].get("buffered_seconds", 0) > 1.5
    )
    before = told.read_text()

    app.signal(signal.SIGKILL)
    app.wait()
    wait_for(lambda: not is_running(numbers["streamer_pid"]), 40, what="its end")

    said = told.read_text().removeprefix(before)
    (line,) = [one for one in said.splitlines() if "not persisted" in one]
    counted = re.search(r"\((\d+) frames", line)
    assert counted is not None
    assert int(counted[1]) >= numbers["outputs"][0]["buffered_frames"]
    kept = re.search(r"(\d+) of the frames are in buffer_path", line)
    assert (kept and kept[1]) == (counted[1] if keeps else None)
    assert SECRET_KEY not in said
    assert "Signature=" not in said


def test_an_application_that_ends_without_a_stop_delivers(stream: Stream, stage: Stage) -> None:
    """At the end of Python what waits is sent as if stop_streaming() had been called."""
    settings = {"stream_region": REGION, "stream_name": "test", "fragment_seconds": 1.0}
    app = stage.app(30, "--kvs", json.dumps(settings), "--orderly")
    app.wait_for_numbers(lambda told: told["outputs"][0].get("frames_taken", 0) > 10)

    app.signal(signal.SIGTERM)
    assert app.wait() == 0

    assert len(arrived(stream)) > 10
    wait_for(lambda: stream.sessions[-1].ended)


def test_a_stop_says_what_has_not_arrived(
    server: KVSServer,
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the server gone it takes the time that it is given, and the log has the number."""
    # Else a busy machine may tell it only after the stop.
    monkeypatch.setattr("backpack._app.stream.TELL_SECONDS", 30.0)
    monkeypatch.setattr(KVSOutput, "deliver_seconds", 60.0)
    spyglass = kvs(stage)
    putter = stage.putter(spyglass, 30)
    wait_for(lambda: is_streaming(spyglass))
    server.refuse()
    wait_for(lambda: spyglass.kvs_stats().buffered_frames > 20)
    putter.stop()

    begin = time.monotonic()
    spyglass.stop_streaming(timeout=1.0)

    # It tries until then, and ends sooner than without timeout=.
    assert 1.0 <= time.monotonic() - begin < KVSOutput.deliver_seconds
    left = spyglass.kvs_stats().buffered_frames
    assert left > 20
    assert f"({left} frames" in caplog.text


@pytest.mark.usefixtures("server")
def test_a_stream_that_does_not_exist_is_told_and_waited_for(stage: Stage) -> None:
    """The start goes well, and so does put(): it may be made at any time."""
    spyglass = KVSSpyGlass(REGION, "elsewhere", required=True)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    stage.putter(spyglass, 30)

    wait_for(lambda: spyglass.kvs_stats().state == "FAILED")
    assert "does not exist" in spyglass.kvs_stats().trouble
    assert "does not exist" in (spyglass.stats().error or "")
    wait_for(lambda: spyglass.kvs_stats().buffered_frames > 10)
    assert spyglass.state is State.STREAMING
    spyglass.stop_streaming(timeout=0.5)


@pytest.mark.usefixtures("server")
def test_what_aws_will_never_take_is_an_error(server: KVSServer, stage: Stage) -> None:
    """The start goes well, for the network waits for nobody; then the state is ERROR."""
    server.faults.always["/describeStream"] = HttpError(400, "InvalidArgument", "no such name")
    spyglass = kvs(stage)

    wait_for(lambda: spyglass.state is State.ERROR)

    assert "no such name" in spyglass.state_reason
    assert spyglass.kvs_stats().state == "FAILED"
    assert not spyglass.put(numbered(1))


def test_without_a_network_it_streams_once_there_is_one(
    server: KVSServer, stream: Stream, stage: Stage
) -> None:
    """Frames that are put before the server is there arrive when it is."""
    server.refuse()
    spyglass = kvs(stage)
    putter = stage.putter(spyglass, 30)
    wait_for(lambda: spyglass.kvs_stats().reconnects or spyglass.kvs_stats().buffered_seconds > 1)
    wait_for(lambda: spyglass.kvs_stats().frames_taken)
    early = putter.last

    server.listen()
    wait_for(lambda: is_streaming(spyglass))
    putter.stop()
    spyglass.stop_streaming()

    # A busy machine may replace some before they are encoded, and only those.
    numbers = arrived(stream)
    stats = spyglass.stats()
    assert len(numbers) == len(taken(putter)) - stats.replaced - stats.torn
    assert numbers[0] <= early


def test_a_stream_is_created_where_that_is_asked(server: KVSServer, stage: Stage) -> None:
    """With create_stream=True a stream that is missing is made, and kept for the hours asked."""
    spyglass = KVSSpyGlass(REGION, "new", create_stream=True, retention_hours=3)
    stage.finally_do(spyglass.stop_streaming)
    spyglass.start_streaming()
    stage.putter(spyglass, 30)

    wait_for(lambda: is_streaming(spyglass))

    assert server.streams["new"].retention_hours == 3
    assert spyglass.kvs_stats().trouble == ""


def test_a_wrong_clock_is_called_by_its_name(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    """A signature five minutes off is refused, and the trouble says that it is the clock."""
    with KVSServer(clock=lambda: time.time() + 900) as server:
        server.streams.add("test")
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        spyglass = kvs(stage)

        wait_for(lambda: "clock" in spyglass.kvs_stats().trouble)

        assert spyglass.state in (State.WARMUP, State.STREAMING)
        spyglass.stop_streaming(timeout=0.1)


@pytest.mark.usefixtures("server")
def test_another_endpoint_is_named_by_the_variables_of_aws(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """AWS_ENDPOINT_URL says where it is, and AWS_CA_BUNDLE whom to trust there."""
    certificate = make_certificate(tmp_path)
    with KVSServer(tls=context_of(certificate)) as server:
        stream = server.streams.add("test")
        monkeypatch.delenv("AWS_ENDPOINT_URL_KINESIS_VIDEO")
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        untrusting = kvs(stage)
        wait_for(lambda: "not trusted" in untrusting.kvs_stats().trouble)
        untrusting.stop_streaming(timeout=0.1)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        spyglass = kvs(stage)
        stage.putter(spyglass, 30)

        wait_for(lambda: is_streaming(spyglass))
        spyglass.stop_streaming()

        assert arrived(stream)


@pytest.mark.usefixtures("server")
def test_video_goes_through_the_applications_proxy(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """HTTPS_PROXY is the application's, though another process sends; its password is not told."""
    certificate = make_certificate(tmp_path)
    with (
        KVSServer(tls=context_of(certificate)) as server,
        ConnectProxy("camera:s3cret") as proxy,
    ):
        stream = server.streams.add("test")
        monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS_VIDEO", server.url)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        spyglass = kvs(stage)
        stage.putter(spyglass, 30)

        wait_for(lambda: is_streaming(spyglass))
        spyglass.stop_streaming()

        assert arrived(stream)
        assert len(proxy.targets) == len(server.requests)
        assert proxy.complaints == []
        assert "s3cret" not in caplog.text


@pytest.mark.parametrize("connections", Connections)
def test_credentials_that_run_out_are_renewed_in_time(
    server: KVSServer,
    stream: Stream,
    stage: Stage,
    caplog: pytest.LogCaptureFixture,
    connections: Connections,
) -> None:
    """With credentials of six seconds no frame is lost; each renewal is logged, no secret is."""
    caplog.set_level("INFO")
    server.faults.connections, server.faults.release_seconds = connections, 1.0
    spyglass = kvs(stage, credentials_handler=ShortLived(server, 6.0))
    putter = stage.putter(spyglass, 30)

    wait_for(lambda: spyglass.kvs_stats().credentials_renewed > 2, 60)
    putter.stop()
    spyglass.stop_streaming()

    numbers = arrived(stream)
    stats = spyglass.stats()
    assert len(numbers) == len(taken(putter)) - stats.replaced - stats.torn
    assert len(stream.sessions) > 1
    # Where the old connection counts for a second more, the new one is tried until it is taken.
    tried = "400 ConnectionLimitExceeded" in spyglass.kvs_stats().reconnects
    assert tried == (connections is Connections.ONE)
    renewals = [one for one in caplog.messages if "renewed" in one]
    assert len(renewals) >= 2
    assert "secret" not in caplog.text
    assert "token1" not in caplog.text


def test_where_it_can_be_watched_is_asked_of_aws(server: KVSServer, stage: Stage) -> None:
    """playback_url() gives what AWS says, and asks for a stream that survives pauses."""
    spyglass = kvs(stage)
    stage.putter(spyglass, 30)
    wait_for(lambda: is_streaming(spyglass))

    url = spyglass.playback_url()

    assert url.startswith(server.url)
    asked = next(one for one in server.heads if one.target == "/getHLSStreamingSessionURL")
    assert json.loads(asked.body)["DiscontinuityMode"] == "ON_DISCONTINUITY"
    with pytest.raises(SettingsError, match="LIVE_REPLAY"):
        spyglass.playback_url("YESTERDAY")
    server.faults.always["/getHLSStreamingSessionURL"] = HttpError(403, "AccessDenied")
    with pytest.raises(Exception, match="kinesisvideo:GetHLSStreamingSessionURL"):
        spyglass.playback_url()
    spyglass.stop_streaming()
    with pytest.raises(StateError, match="start_streaming"):
        spyglass.playback_url()


def test_what_was_recorded_can_be_watched(server: KVSServer, stream: Stream, stage: Stage) -> None:
    """By the times of capture: on demand between two of them, and from one on as a replay."""
    spyglass = kvs(stage)
    begin = dt.datetime.now(dt.timezone.utc)
    stage.putter(spyglass, 30)
    wait_for(lambda: stream.persisted() > 1)
    end = begin + dt.timedelta(hours=24)

    assert spyglass.playback_url("ON_DEMAND", start=begin, end=end).startswith(server.url)
    assert spyglass.playback_url("LIVE_REPLAY", start=begin).startswith(server.url)
    before = begin - dt.timedelta(hours=1)
    with pytest.raises(OutputError, match="No fragments found"):
        spyglass.playback_url("ON_DEMAND", start=before, end=begin - dt.timedelta(minutes=1))


def test_a_stream_stops_and_starts_again(stream: Stream, stage: Stage) -> None:
    """One instance streams as often as it is started, and every frame arrives once."""
    spyglass = kvs(stage)
    putter = stage.putter(spyglass)
    for _ in range(3):
        putter.run(30, 1.2)
        spyglass.stop_streaming()
        spyglass.start_streaming()

    spyglass.stop_streaming()

    numbers = arrived(stream)
    assert len(numbers) == len(set(numbers))
    assert numbers[-1] == max(taken(putter))


def test_a_viewer_does_not_make_fragments_shorter(stream: Stream, stage: Stage) -> None:
    """Newcomers cause key frames; a fragment is as long as it was asked to be all the same."""
    spyglass = stage.spyglass("rtsp://127.0.0.1:0/door", f"kvs://{REGION}/test")
    stage.putter(spyglass, 30)
    wait_for(lambda: spyglass.stats().outputs[1].get("fragments_persisted"))

    for _ in range(4):
        with_viewer = RtspClient(spyglass.urls()[0], decode=True)
        with_viewer.wait_more(5, 20)
        with_viewer.close()
    spyglass.stop_streaming()

    line = stream.timeline()
    starts = [one.timecode for one in line]
    assert all(two - one >= 2000 for one, two in itertools.pairwise(starts))
