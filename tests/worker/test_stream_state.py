from __future__ import annotations

import itertools

import pytest

from backpack._worker.stream_state import StreamEvent as Event
from backpack._worker.stream_state import StreamState as State
from backpack._worker.stream_state import next_state


def after(*events: Event) -> State:
    """Return where events lead from the beginning; one that leads nowhere is passed over."""
    state = State.OPENING
    for event in events:
        state = next_state(state, event) or state
    return state


def test_a_stream_opens_fails_recovers_and_ends() -> None:
    """The way of most streams, with a failure in between."""
    way = [Event.READY, Event.ALL_FAILED, Event.RECOVERED, Event.CLOSE]
    end = [Event.DRAINED, Event.DELIVERED, Event.RELEASED]
    states = [after(*[*way, *end][:count]) for count in range(8)]
    assert states == [
        State.OPENING,
        State.OPEN,
        State.FAILED,
        State.OPEN,
        State.DRAINING,
        State.DELIVERING,
        State.CLOSING,
        State.CLOSED,
    ]


@pytest.mark.parametrize("before", [(), (Event.READY,), (Event.READY, Event.ALL_FAILED)])
def test_a_stream_can_be_closed_whenever_it_is_not_ending(before: tuple[Event, ...]) -> None:
    """Also while it opens, and while all outputs have failed."""
    assert after(*before, Event.CLOSE) is State.DRAINING


def test_what_comes_too_late_changes_nothing() -> None:
    """An encoder that is found, or an output that fails or recovers, while the stream ends."""
    late = [Event.READY, Event.REFUSED, Event.ALL_FAILED, Event.RECOVERED, Event.CLOSE]
    for state, event in itertools.product([one for one in State if one.is_ending], late):
        assert next_state(state, event) is None


def test_an_end_that_is_told_twice_leads_on_once() -> None:
    """Of the intake and of a timer, whichever comes first."""
    assert after(Event.CLOSE, Event.DRAINED, Event.DRAINED) is State.DELIVERING


def test_from_every_state_there_is_a_way_to_the_end() -> None:
    """And none out of it."""
    for state in State:
        reached = {state}
        for _ in State:
            reached |= {
                found
                for one in reached
                for event in Event
                if (found := next_state(one, event)) is not None
            }
        assert State.CLOSED in reached
    assert all(next_state(State.CLOSED, event) is None for event in Event)
