from __future__ import annotations

from backpack._outputs.gst.worker.flow import STALL_NS, Flow

SECOND_NS = 1_000_000_000


def push(flow: Flow, waiting: int, now_ns: int) -> None:
    """Look at a queue, and put one more unit into it."""
    flow.note(waiting, now_ns)
    flow.note_queued()


def test_a_queue_that_empties_is_never_stalled() -> None:
    """However far apart units are, one that has left was taken."""
    flow = Flow(0)
    for number in range(4):
        push(flow, 0, number * 3 * STALL_NS)
        assert not flow.is_stalled(number * 3 * STALL_NS)


def test_a_queue_that_nothing_leaves_is_stalled_in_the_end() -> None:
    """The limit counts from the last unit that has left."""
    flow = Flow(0)
    push(flow, 0, SECOND_NS)
    push(flow, 0, 2 * SECOND_NS)
    push(flow, 1, 3 * SECOND_NS)
    flow.note(2, 2 * SECOND_NS + STALL_NS - 1)
    assert not flow.is_stalled(2 * SECOND_NS + STALL_NS - 1)
    flow.note(2, 2 * SECOND_NS + STALL_NS)
    assert flow.is_stalled(2 * SECOND_NS + STALL_NS)


def test_a_queue_that_stays_full_and_moves_is_not_stalled() -> None:
    """A slow far side is not a silent one."""
    flow = Flow(0)
    push(flow, 0, 0)
    push(flow, 1, 1)
    for number in range(1, 6):
        push(flow, 1, number * STALL_NS // 2)
        assert not flow.is_stalled(number * STALL_NS // 2)


def test_a_first_unit_that_is_taken_is_no_proof() -> None:
    """Parsers and muxers take some before anything is sent."""
    flow = Flow(0)
    push(flow, 0, 0)
    push(flow, 0, SECOND_NS)
    for second in range(2, 60):
        flow.note(1, second * SECOND_NS)
        assert not flow.is_proven(second * SECOND_NS)


def test_units_that_go_on_leaving_are_a_proof_after_seconds() -> None:
    """By then an element that does not connect would have stopped taking them, or failed."""
    flow = Flow(0)
    for number in range(151):
        push(flow, 0, number * SECOND_NS // 30)
        assert flow.is_proven(number * SECOND_NS // 30) == (number == 150)
