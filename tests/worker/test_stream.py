from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import pytest

from backpack._ipc.messages import Closed, Failed, Message, Opened, OpenStream, StreamReport
from backpack._ipc.settings import StreamSettings
from backpack._media.output import QuietOutput
from backpack._worker.servers import WorkerServers
from backpack._worker.stream import WorkerStream
from tests.streams import main_loop
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.streams import MainLoop


class Slow(QuietOutput):
    """An output that delivers for as long as the test likes."""

    viewers = 0
    lost = 0

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []
        self.is_done = False
        self.is_closed = False

    @property
    def finished(self) -> bool:
        """Whether the test likes."""
        return bool(self.asked) and self.is_done

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Keep what was asked."""
        self.asked.append((seconds, longest_seconds))

    def close(self) -> None:
        """Keep that it was."""
        self.is_closed = True


class Rig:
    """A stream in the streaming process, whose messages and calls are kept."""

    def __init__(self, loop: MainLoop) -> None:
        self.loop = loop
        self.said: list[Message] = []
        self.news: list[bool] = []
        self.closed: list[int] = []
        settings = StreamSettings()
        self.stream = loop.call(
            lambda: WorkerStream(
                OpenStream(7, asdict(settings), [], None),
                settings,
                passed_over=set(),
                say=self.said.append,
                on_stats_changed=self._note_news,
                on_closed=self.closed.append,
            )
        )

    def _note_news(self, _number: int) -> None:
        # The encoder may be found before there is a name for the stream.
        stream = getattr(self, "stream", None)
        self.news.append(stream is not None and stream.is_delivering)

    def kinds(self) -> list[type[Message]]:
        """Give the kinds of messages, without reports."""
        return [type(one) for one in list(self.said) if not isinstance(one, StreamReport)]


@pytest.fixture
def rig() -> Iterator[Rig]:
    """Give a stream without outputs, which is closed afterwards."""
    with main_loop() as loop:
        made = Rig(loop)
        yield made
        loop.call(made.stream.close, 0.0, 0.0)
        wait_for(lambda: made.closed == [7])


def test_a_stream_opens_once_an_encoder_is_found(rig: Rig) -> None:
    """And closes once; what comes after that changes nothing."""
    wait_for(lambda: rig.news)
    rig.loop.call(rig.stream.step)
    rig.loop.call(rig.stream.step)
    assert rig.kinds() == [Opened]
    rig.loop.call(rig.stream.close, 0.0, 0.0)
    wait_for(lambda: rig.closed == [7])
    rig.loop.call(rig.stream.step)
    rig.loop.call(rig.stream.close, 0.0, 0.0)
    assert rig.closed == [7]
    assert Closed not in rig.kinds()


def test_outputs_deliver_before_they_are_closed(rig: Rig) -> None:
    """That they do is told, since a process that ends waits longer then; closing twice is once."""
    slow = Slow()
    rig.stream._outputs, rig.stream._kinds = [slow], ["slow"]
    rig.loop.call(lambda: rig.stream.close(0.0, 5.0, longest_seconds=30.0))
    wait_for(lambda: True in rig.news, what="news that something is delivered")
    rig.loop.call(rig.stream.close, 0.0, 0.0)
    assert slow.asked == [(5.0, 30.0)]
    assert not slow.is_closed

    slow.is_done = True
    rig.loop.call(rig.stream.step)
    assert slow.is_closed
    assert rig.closed == [7]


def test_an_output_that_hangs_is_not_waited_for(rig: Rig) -> None:
    """Longer than it was given, and a moment more."""
    slow = Slow()
    rig.stream._outputs, rig.stream._kinds = [slow], ["slow"]
    rig.loop.call(rig.stream.close, 0.0, 0.1)
    wait_for(lambda: rig.closed == [7])
    assert slow.is_closed


def test_a_stream_that_cannot_be_opened_is_told_and_ends(rig: Rig) -> None:
    """With what keeps it from opening."""
    unknown: list[dict[str, Any]] = [{"kind": "nothing"}]
    rig.loop.call(rig.stream.open, unknown, rig.loop.call(WorkerServers, lambda: None))
    wait_for(lambda: rig.closed == [7])
    (failed,) = [one for one in rig.said if isinstance(one, Failed)]
    assert (failed.id, failed.error) == (7, "SettingsError")
    assert "nothing" in failed.message
