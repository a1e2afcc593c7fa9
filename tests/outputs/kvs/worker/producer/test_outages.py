from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.worker.producer.commands import ProducerState
from backpack._outputs.kvs.worker.producer.journal import Journal
from tests.outputs.kvs.worker.producer.service import Service
from tests.outputs.kvs.worker.producer.video import pictures

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def assert_complete(service: Service) -> None:
    """Every frame once, in order, at its time; nothing a service could complain of."""
    assert service.producer.state is ProducerState.STOPPED
    assert service.played() == list(range(1, service.number + 1))
    assert service.times() == {number: (number - 1) * 100 for number in service.played()}
    assert service.complaints() == set()
    counters = service.status.queue
    assert counters.frames_persisted == counters.frames_taken == service.number
    assert service.status.frames_lost == 0


def begin_gone(service: Service) -> None:
    """Refuse the port."""
    service.gone = True


def begin_hanging(service: Service) -> None:
    """Say nothing any more."""
    service.hangs = True


def begin_resetting(service: Service) -> None:
    """Reset every connection after three seconds."""
    service.reset_every_seconds = 3.0


def end(service: Service) -> None:
    """Be well again."""
    service.gone = service.hangs = False
    service.reset_every_seconds = None


@pytest.mark.parametrize("begin", [begin_gone, begin_hanging, begin_resetting])
@pytest.mark.parametrize("release_seconds", [None, 5.0])
def test_an_outage_of_a_minute_costs_nothing(
    begin: Callable[[Service], None], release_seconds: float | None
) -> None:
    """Port refused, server silent, reset every 3 s; one connection at a time or two."""
    service = Service(fragment_seconds=2.0)
    service.release_seconds = release_seconds
    service.frames(105)
    assert service.status.connected_seconds is not None
    begin(service)
    service.frames(600)
    assert service.status.reconnects != {}
    end(service)
    service.frames(300)
    assert service.status.buffered_seconds < 5
    service.stop()

    assert_complete(service)
    assert service.status.trouble == ""


SMALL: dict[str, Any] = {
    "fragment_seconds": 2.0,
    "buffer_seconds": 600.0,
    "buffer_bytes": 2 * 1024 * 1024,
}


def memory_of_five_minutes(service: Service) -> int:
    """Put five minutes of video, and tell what it takes at most, in bytes."""
    pictures()
    tracemalloc.start()
    try:
        service.frames(100)
        before, _ = tracemalloc.get_traced_memory()
        before -= service.producer.queue.size
        service.frames(2900, padding=4000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


@pytest.mark.parametrize("on_disk", [False, True])
def test_memory_in_an_outage_of_five_minutes_is_bounded(tmp_path: Path, *, on_disk: bool) -> None:
    """By `buffer_bytes` and a fifth; the newest video is kept, from a key frame on."""
    journal = Journal(tmp_path, "us-east-1", "test") if on_disk else None
    service = Service(journal=journal, **SMALL)
    service.gone = True
    most = SMALL["buffer_bytes"]
    assert memory_of_five_minutes(service) <= most * 1.2
    assert service.status.queue.frames_dropped > 1000
    assert service.status.buffered_bytes > most * 0.8
    first = service.status.queue.frames_dropped + 1
    service.gone = False
    service.stop()

    assert service.played() == list(range(first, 3001))
    assert (first - 1) % 10 == 0
    if journal is not None:
        assert journal.numbers().frames_stored == 0
        journal.close()
        assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_memory_is_bounded_where_video_is_received_and_never_persisted() -> None:
    """What the buffer lets go is gone, and counted once, though its connection goes on."""
    service = Service(**SMALL)
    service.archive_hangs = True
    most = SMALL["buffer_bytes"]
    assert memory_of_five_minutes(service) <= most * 1.2
    status = service.status
    assert status.reconnects == {}
    assert status.fragments_sent == 150
    assert "retention" in status.trouble
    assert status.buffered_bytes > most * 0.8
    first = status.queue.frames_dropped + 1
    service.archive_hangs = False
    service.broke()
    service.stop()

    assert service.played() == list(range(first, 3001))
    counters = service.status.queue
    assert counters.frames_persisted + counters.frames_dropped == counters.frames_taken == 3000
    assert service.status.trouble == ""


@pytest.mark.parametrize("release_seconds", [None, 5.0])
def test_credentials_that_live_a_minute_cost_nothing_in_ten(
    release_seconds: float | None,
) -> None:
    """A connection is replaced before its credentials run out: none is cut off."""
    service = Service(fragment_seconds=2.0)
    service.release_seconds = release_seconds
    # The application renews them when half of their time is over.
    service.expire_at = lambda now: now - now % 30 + 60
    service.frames(6000)
    service.stop()

    assert_complete(service)
    assert service.cut_off == 0
    causes = set(service.status.reconnects)
    assert causes <= {"400 ConnectionLimitExceeded"}
    assert bool(causes) == (release_seconds is not None)
    assert len(service.stream.sessions) > 10


def test_what_is_told_of_a_connection() -> None:
    """For how long there has been one, what it has sent, and how long the newest video took."""
    service = Service(fragment_seconds=2.0)
    assert service.status.connected_seconds is None
    service.frames(100)
    status = service.status

    assert status.connected_seconds == pytest.approx(9.9, abs=0.3)
    assert (status.fragments_sent, status.fragments_resent) == (5, 0)
    assert status.latency_seconds == pytest.approx(2.1, abs=0.15)
    service.broke()
    service.pass_time(2.0)
    assert (service.status.fragments_sent, service.status.fragments_resent) == (6, 1)
    assert service.status.connected_seconds == pytest.approx(2.0, abs=0.5)
