from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from backpack._ipc.settings import StreamSettings
from backpack._media.hub import Hub
from backpack._outputs.gst.worker.stream import GstOutput
from backpack._outputs.kvs.worker.kvssink.output import KVSSinkOutput
from backpack._worker.outputs import open_outputs
from backpack._worker.servers import WorkerServers
from backpack.errors import OutputError
from backpack.push import GstSink
from backpack.spyglass import SpyGlass
from tests.apps import State, frame, nothing_left_behind, streaming, watcher
from tests.outputs.kvs.worker.producer.video import unit
from tests.streams import source_of
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from backpack._media.output import WorkerOutput


class Broken(GstSink):
    """An output whose description the streaming process trips over."""

    def describe(self) -> dict[str, Any]:
        """Leave out what is needed."""
        return {"kind": "gstreamer"}


def test_an_output_that_nobody_thought_would_fail_is_an_error_of_the_start() -> None:
    """Not a stream that goes nowhere: the application is told why, and what was open is closed."""
    with nothing_left_behind(), streaming(watcher()) as good:
        wait_for(lambda: good.put(frame()) and good.stats().encoded)
        pid, starts = good.stats().streamer_pid or 0, good.stats().starts
        descriptors = open_descriptors(pid)
        broken = SpyGlass("rtsp://127.0.0.1:0/door", watcher(), Broken("fakesink"))
        for _ in range(3):
            with pytest.raises(OutputError, match=r"could not be opened: KeyError: 'pipeline'\."):
                broken.start_streaming()
            assert broken.state is State.ERROR or not broken.put(frame())
            broken.stop_streaming()

        wait_for(lambda: open_descriptors(pid) <= descriptors, what="what was open is closed")
        encoded = good.stats().encoded
        wait_for(lambda: good.put(frame()) and good.stats().encoded > encoded)
        assert good.stats().starts == starts


def open_all(descriptions: list[dict[str, Any]], hub: Hub, **settings: Any) -> list[WorkerOutput]:
    """Open outputs as the streaming process does."""
    board = WorkerServers(lambda: None)
    return open_outputs(
        descriptions, lambda _place: source_of(hub), board, StreamSettings(**settings)
    )


def test_kvssink_is_told_what_it_has_to_have_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 60 frames a second buffer_seconds are twice the frames that they are at 30."""
    monkeypatch.setattr(KVSSinkOutput, "open", lambda _self: None)
    hub = Hub(linger_ns=0, on_change=lambda: None)
    description = {
        "kind": "kvs",
        "producer": "kvssink",
        "region": "us-east-1",
        "stream_name": "door",
    }
    (output,) = open_all([description], hub, fps=60, bitrate_kbps=3000)
    (plain,) = open_all([description], hub)

    assert isinstance(output, KVSSinkOutput)
    assert isinstance(plain, KVSSinkOutput)
    assert output._settings.properties["framerate"] == 60
    assert output._settings.properties["avg-bandwidth-bps"] == 3_000_000
    assert plain._settings.properties["framerate"] == 30
    for number in range(120 * 60):
        output.push(unit(number + 1))
    assert output.lost == 0


def test_an_output_that_opens_halfway_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place in the hub and its pipeline go, as those of the outputs before it."""
    hub = Hub(linger_ns=0, on_change=lambda: None)
    opened: list[GstOutput] = []
    begin = GstOutput.open

    def open_and_fail(self: GstOutput) -> None:
        opened.append(self)
        begin(self)
        if len(opened) > 1:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr(GstOutput, "open", open_and_fail)
    with pytest.raises(OSError, match="Too many"):
        open_all([watcher().describe()] * 2, hub)

    assert len(opened) == 2
    assert hub.subscriber_count == 0
    assert not any(one.viewers for one in opened)
