from __future__ import annotations

from typing import Any

import pytest

from backpack.errors import OutputError
from backpack.hub.hub import Hub
from backpack.hub.output import Source
from backpack.push import GstSink
from backpack.push.output import GstOutput
from backpack.spyglass import SpyGlass
from backpack.streamer.board import ServerBoard
from backpack.streamer.outputs import open_outputs
from tests.apps import State, frame, nothing_left_behind, streaming, watcher
from tests.waiting import open_descriptors, wait_for


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
    source = Source(hub, dict, lambda _width, _then: None)
    with pytest.raises(OSError, match="Too many"):
        open_outputs([watcher().describe()] * 2, source, ServerBoard(), lambda _place: None)  # type: ignore[arg-type,return-value]

    assert len(opened) == 2
    assert hub.reader_count == 0
    assert not any(one.viewers for one in opened)
