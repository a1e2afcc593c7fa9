from __future__ import annotations

import itertools
import random

import pytest

from backpack._app.state import ACCEPTING, Event, State, StateMachine, next_state
from backpack.spyglass import SpyGlass

STORIES = {
    "an ordinary day": "START OPENED FRAME STOP",
    "started twice": "START OPENED STOP START OPENED FRAME STOP",
    "the streaming process dies": "START OPENED FRAME AWAY OPENED FRAME STOP",
    "nothing to stream with, then installed": "START FAILED OPENED FRAME STOP",
    "the output breaks": "START OPENED FRAME FAILED AWAY OPENED FRAME STOP",
}
ENDS = {
    "an ordinary day": "START_WARMUP WARMUP STREAMING STOPPED",
    "started twice": "START_WARMUP WARMUP STOPPED START_WARMUP WARMUP STREAMING STOPPED",
    "the streaming process dies": (
        "START_WARMUP WARMUP STREAMING START_WARMUP WARMUP STREAMING STOPPED"
    ),
    "nothing to stream with, then installed": "START_WARMUP ERROR WARMUP STREAMING STOPPED",
    "the output breaks": (
        "START_WARMUP WARMUP STREAMING ERROR START_WARMUP WARMUP STREAMING STOPPED"
    ),
}


@pytest.mark.parametrize("story", STORIES)
def test_states_follow_each_other(story: str) -> None:
    """What happens leads to the states that the time line shows."""
    state, went_through = State.STOPPED, []
    for name in STORIES[story].split():
        state = next_state(state, Event[name])
        went_through.append(state.name)

    assert went_through == ENDS[story].split()


@pytest.mark.parametrize("state", State)
def test_a_stop_ends_every_state(state: State) -> None:
    """From anywhere it is one step to STOPPED."""
    assert next_state(state, Event.STOP) is State.STOPPED


@pytest.mark.parametrize("event", [event for event in Event if event is not Event.START])
def test_only_a_start_leaves_stopped(event: Event) -> None:
    """What comes late, after a stop, changes nothing."""
    assert next_state(State.STOPPED, event) is State.STOPPED


def test_frames_are_taken_only_while_the_outputs_are_open() -> None:
    """Whatever happens, a frame counts for nothing before `opened` and after `away`."""
    chance = random.Random(5)
    for _ in range(200):
        state, is_open = State.STOPPED, False
        for event in itertools.islice(iter(lambda: chance.choice(list(Event)), None), 30):
            state = next_state(state, event)
            if event is Event.OPENED:
                is_open = state is not State.STOPPED
            elif event in (Event.AWAY, Event.FAILED, Event.STOP):
                is_open = False
            assert (state in ACCEPTING) == is_open


def test_the_five_names_of_the_original_are_there() -> None:
    """Code that compares states goes on working."""
    assert [state.name for state in SpyGlass.State] == [
        *("STOPPED", "START_WARMUP", "WARMUP", "STREAMING", "ERROR")
    ]


def test_changes_are_told_once_in_their_order() -> None:
    """Each with its reason; an event that changes nothing is no news."""
    machine = StateMachine("It is new.")
    assert (machine.state, machine.reason) == (State.STOPPED, "It is new.")
    machine.enter(Event.START)
    machine.enter(Event.FRAME)
    machine.enter(Event.FAILED, "It is broken.")
    assert (machine.state, machine.reason) == (State.ERROR, "It is broken.")
    assert machine.take_changes() == [
        "STOPPED → START_WARMUP",
        "START_WARMUP → ERROR It is broken.",
    ]
    assert machine.take_changes() == []
