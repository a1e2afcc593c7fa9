from __future__ import annotations

import pytest

from backpack._outputs.kvs.worker.producer.commands import ProducerState
from tests.outputs.kvs.worker.producer.service import Service
from tests.outputs.kvs.worker.producer.video import START_WALL_NS

# No multiple of a frame's time: of two fragments with one time KVS keeps the newer one.
STEPS_MS = [700, 3_600_000, -30_037, -3_600_037]


def check(service: Service) -> None:
    """Every frame once; each connection's times grow, which `Service` has looked at."""
    assert service.producer.state is ProducerState.STOPPED
    played = [number for fragment in service.stream.timeline() for number in numbers(fragment)]
    assert sorted(played) == list(range(1, service.number + 1))
    assert service.complaints() == set()
    assert service.status.queue.frames_persisted == service.number


def numbers(fragment: object) -> list[int]:
    """Name a fragment's frames."""
    return [int(block.payload.rpartition(b"#")[2]) for block in fragment.blocks]  # type: ignore[attr-defined]


def moved_ms(service: Service) -> dict[int, int]:
    """Tell by how much each frame's time differs from what the first clock would have said."""
    return {number: ms - (number - 1) * 100 for number, ms in service.times().items()}


def wall_ns(step_ms: int) -> int:
    """Give the first frame's date by the clock that has stepped."""
    return START_WALL_NS + step_ms * 1_000_000


@pytest.mark.parametrize("step_ms", STEPS_MS)
@pytest.mark.parametrize("at", [101, 105])
def test_a_step_while_connected_begins_another_connection(step_ms: int, at: int) -> None:
    """At the next key frame; what was sent keeps its time, what follows has the right one."""
    service = Service()
    service.frames(at - 1)
    service.frames(100, wall_ns=wall_ns(step_ms), epoch=1)
    service.stop()

    check(service)
    first_right = -(-(at - 1) // 10) * 10 + 1
    assert moved_ms(service) == {
        number: step_ms if number >= first_right else 0 for number in range(1, service.number + 1)
    }
    assert len(service.stream.sessions) == 2
    assert (service.status.fragments_resent, service.status.reconnects) == (0, {})


@pytest.mark.parametrize("step_ms", STEPS_MS)
def test_a_step_in_an_outage_moves_all_that_waits_unsent(step_ms: int) -> None:
    """Three minutes wait; what a connection had seen keeps its time, so that it replaces itself."""
    service = Service(buffer_seconds=600.0)
    service.frames(105)
    service.gone = True
    service.frames(1795)
    service.frames(300, wall_ns=wall_ns(step_ms), epoch=1)
    service.gone = False
    service.frames(100, wall_ns=wall_ns(step_ms), epoch=1)
    service.stop()

    check(service)
    # The fragment that was being sent when the connection broke ends with frame 110.
    assert moved_ms(service) == {
        number: step_ms if number > 110 else 0 for number in range(1, service.number + 1)
    }


def test_two_steps_in_an_outage_are_both_made_good() -> None:
    """There and back again: what waited is where it belongs by the last clock."""
    service = Service(buffer_seconds=600.0)
    service.gone = True
    service.frames(300)
    service.frames(300, wall_ns=wall_ns(-3_600_000), epoch=1)
    service.frames(300, wall_ns=wall_ns(5_000), epoch=2)
    service.gone = False
    service.stop()

    check(service)
    assert set(moved_ms(service).values()) == {5_000}
    assert service.played() == sorted(service.played())


def test_a_step_while_what_was_sent_is_not_acknowledged() -> None:
    """The connection breaks after the step: the old time is sent again alone, then the new one."""
    service = Service()
    service.ack_seconds = 3600.0
    service.frames(45)
    service.frames(50, wall_ns=wall_ns(-10_037), epoch=1)
    service.broke()
    service.ack_seconds = 0.0
    service.stop()

    check(service)
    moved = moved_ms(service)
    assert {number for number in moved if moved[number] == 0} == set(range(1, 51))
    assert len(service.stream.sessions) == 3
    assert service.status.fragments_resent == 5
